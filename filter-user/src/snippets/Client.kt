// The file that the app carries as res/raw/client.p12 is made by:
//   openssl pkcs12 -export -in {file}.crt -inkey {file}.key -out client.p12
// with -legacy beside -export if Android 13 or an earlier one is to read it. Add the import of your app's R;
// Android lets no app use the network on its main thread.
import android.content.Context
import java.net.URL
import java.security.KeyStore
import javax.net.ssl.HttpsURLConnection
import javax.net.ssl.KeyManagerFactory
import javax.net.ssl.SSLContext

fun open(context: Context, password: CharArray): HttpsURLConnection {
    val store = KeyStore.getInstance("PKCS12")
    context.resources.openRawResource(R.raw.client).use { store.load(it, password) }
    val keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm())
    keys.init(store, password)
    val tls = SSLContext.getInstance("TLS")
    tls.init(keys.keyManagers, null, null)
    val connection = URL("https://{host}/").openConnection() as HttpsURLConnection
    connection.sslSocketFactory = tls.socketFactory
    return connection
}
