/* One POST and its answer. Two implementations: transport_plain.c (http://, HTTP/1.1 on a socket of
 * ours) and transport_curl.c (https, proxies; libcurl loaded at need). Connections are kept alive
 * between posts. Exporter thread only. */
#pragma once

#include "config/config.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct shim_post {
    const struct iovec *body;
    unsigned body_count;
    size_t body_len;
    const char *content_type;
    const char *content_encoding; /* NULL: none */
    uint64_t deadline_ns;         /* CLOCK_MONOTONIC; UINT64_MAX: none */
};

enum shim_post_outcome {
    SHIM_POST_ANSWERED,    /* status and body are valid */
    SHIM_POST_UNREACHABLE, /* no connection, no name, TLS failed */
    SHIM_POST_TIMEOUT,
    SHIM_POST_BROKEN, /* the connection ended early, or the answer was not HTTP */
};

#define SHIM_POST_BODY_MAX 65536

struct shim_post_result {
    enum shim_post_outcome outcome;
    int status;
    char content_type[64];
    char retry_after[64];
    const char *body; /* the transport's, until the next post; at most SHIM_POST_BODY_MAX, after
                         decompression */
    size_t body_len;
    char message[200]; /* why not answered */
};

struct shim_transport {
    void (*post)(struct shim_transport *transport, const struct shim_post *post,
                 struct shim_post_result *ret_result);
    void (*free)(struct shim_transport *transport);
};

/* `config` gives endpoint, headers and certificates; `phase` is told about connecting and sending.
 * NULL with a line in ret_message (256 bytes) when the endpoint cannot be used. On success
 * ret_message is "", or names a configured header that had to be left out. */
struct shim_transport *shim_transport_plain_new(const struct shim_config *config,
                                                _Atomic uint32_t *phase, char *ret_message);
struct shim_transport *shim_transport_curl_new(const struct shim_config *config,
                                               _Atomic uint32_t *phase, char *ret_message);
