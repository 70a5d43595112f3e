/* A small HTTP/1.1 keep-alive server on 127.0.0.1 for the benchmark's two servers, fast enough not
 * to be what is measured. One thread, epoll; knows nothing of tracing. Requests carry
 * Content-Length or no body; a client that does not read its answers is disconnected. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct serve_request {
    const char *method; /* not terminated */
    size_t method_size;
    const char *path; /* with the query; not terminated */
    size_t path_size;
    const char *body;
    size_t body_size;
};

/* Writes one whole answer to out and returns its size, at most SERVE_ANSWER_MAX. */
#define SERVE_ANSWER_MAX 1024
typedef size_t serve_answer_fn(const struct serve_request *request, char *out);

/* Listens on a port (0: any free one), prints "port N" to standard output and serves until SIGTERM
 * or SIGINT. 0, or -Exxx when it could not begin. */
int serve_run(uint16_t port, serve_answer_fn *answer);
