/* ESP-IDF. In CMakeLists.txt of the component, in idf_component_register:
     PRIV_REQUIRES esp_http_client mbedtls
     EMBED_TXTFILES "client.crt" "client.key"
   which are {file}.crt and {file}.key. */
#include "esp_crt_bundle.h"
#include "esp_http_client.h"

extern const char client_crt[] asm("_binary_client_crt_start");
extern const char client_key[] asm("_binary_client_key_start");

int get(void)
{
    esp_http_client_config_t config = {
        .url = "https://{host}/",
        .crt_bundle_attach = esp_crt_bundle_attach,
        .client_cert_pem = client_crt,
        .client_key_pem = client_key,
    };
    esp_http_client_handle_t client = esp_http_client_init(&config);
    int status = -1;
    if (client != NULL && esp_http_client_perform(client) == ESP_OK) {
        status = esp_http_client_get_status_code(client);
    }
    esp_http_client_cleanup(client);
    return status;
}
