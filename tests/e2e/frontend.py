"""nginx from Debian as a TLS and HTTP/2 front of another server of the tests, and a throw-away authority for its
certificate. nginx gets its listening socket from us, so that no port is ever picked twice and no connection
comes too early."""

import os
import socket
import ssl
import subprocess

NGINX = """
daemon off;
worker_processes 1;
user root;
error_log {directory}/error.log;
pid {directory}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {authority}/server.pem;
        ssl_certificate_key {authority}/server.key;
        location / {{
            proxy_pass http://127.0.0.1:{backend};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


class Authority:
    """A certificate authority and a certificate for 127.0.0.1 and localhost, in `directory`."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.ca = f"{directory}/ca.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=throw-away authority",
                      "-days", "2", "-addext", "basicConstraints=critical,CA:TRUE")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
        with open(f"{directory}/san", "w", encoding="ascii") as file:
            file.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self._openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                      "-CAcreateserial", "-out", "server.pem", "-days", "2", "-extfile", "san")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.directory}/server.pem", f"{self.directory}/server.key")
        return context


class Nginx:
    def __init__(self, directory, authority, backend_port):
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = listener.getsockname()[1]
        self._directory = str(directory)
        config = f"{directory}/nginx.conf"
        with open(config, "w", encoding="ascii") as file:
            file.write(NGINX.format(directory=directory, authority=authority.directory, port=self.port,
                                    backend=backend_port))
        environment = {"PATH": os.environ["PATH"], "NGINX": f"{listener.fileno()};"}
        self._process = subprocess.Popen(
            ["nginx", "-p", self._directory, "-c", config, "-e", f"{directory}/start.log"],
            env=environment, pass_fds=[listener.fileno()], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        listener.close()
        self.ca = authority.ca

    def url(self, path, host="127.0.0.1"):
        if self._process.poll() is not None:
            raise AssertionError("nginx ended; see " + self._directory)
        return f"https://{host}:{self.port}{path}"

    def close(self):
        self._process.terminate()
        self._process.wait(timeout=20)
