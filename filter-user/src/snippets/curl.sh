curl --cert {file}.crt --key {file}.key https://{host}/
