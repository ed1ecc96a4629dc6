import ssl
import urllib.request

tls = ssl.create_default_context()
tls.load_cert_chain("{file}.crt", "{file}.key")
with urllib.request.urlopen("https://{host}/", context=tls) as response:
    print(response.status)
