// The file that the app carries as client.p12 is made by:
//   openssl pkcs12 -export -in {file}.crt -inkey {file}.key -out client.p12
// with -legacy beside -export if iOS 15 or an earlier one is to read it.
import Foundation
import Security

final class ClientCertificate: NSObject, URLSessionDelegate {
    private let credential: URLCredential

    init?(password: String) {
        let options = [kSecImportExportPassphrase as String: password]
        var items: CFArray?
        guard let url = Bundle.main.url(forResource: "client", withExtension: "p12"),
              let data = try? Data(contentsOf: url),
              SecPKCS12Import(data as CFData, options as CFDictionary, &items) == errSecSuccess,
              let item = (items as? [[String: Any]])?.first,
              let identity = item[kSecImportItemIdentity as String]
        else { return nil }
        credential = URLCredential(
            identity: identity as! SecIdentity, certificates: nil, persistence: .forSession)
        super.init()
    }

    func urlSession(
        _ session: URLSession, didReceive challenge: URLAuthenticationChallenge,
        completionHandler: @escaping (URLSession.AuthChallengeDisposition, URLCredential?) -> Void
    ) {
        let method = challenge.protectionSpace.authenticationMethod
        if method == NSURLAuthenticationMethodClientCertificate {
            completionHandler(.useCredential, credential)
        } else {
            completionHandler(.performDefaultHandling, nil)
        }
    }
}

func get(password: String, done: @escaping (Int?) -> Void) {
    let session = URLSession(
        configuration: .default, delegate: ClientCertificate(password: password), delegateQueue: nil)
    session.dataTask(with: URL(string: "https://{host}/")!) { _, response, _ in
        done((response as? HTTPURLResponse)?.statusCode)
    }.resume()
    session.finishTasksAndInvalidate()
}
