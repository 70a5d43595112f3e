/* Incremental parser of one HTTP/1.x response (RFC 9112): fed as bytes arrive, split anywhere. Used
 * for the collector's answers. Bounded: heads over SHIM_HTTP1_HEAD_MAX are an error. Leaf. */
#pragma once

#include "str.h"

#include <stdint.h>

#define SHIM_HTTP1_HEAD_MAX 16384

struct shim_http1_response {
    /* Set once the head is complete (state >= BODY). 1xx answers are skipped, except 101. */
    int status;
    bool keep_alive;
    bool chunked;
    bool has_content_length;
    uint64_t content_length;
    char content_type[64];
    char content_encoding[32];
    char retry_after[64];
    /* The body's first body_cap bytes, unchunked; what is more is counted in body_total only. */
    char *body;
    size_t body_cap;
    size_t body_len;
    uint64_t body_total;
    /* private */
    int state;
    size_t head_len;
    uint64_t chunk_left;
    size_t line_len;
    bool head_request;
    bool http10;
    bool said_close;
    bool said_keep_alive;
    char line[1024];
};

/* `body` is the caller's memory; may be NULL with cap 0. `head_request`: the answer has no body. */
void shim_http1_init(struct shim_http1_response *response, char *body, size_t body_cap,
                     bool head_request);

/* Takes in bytes. 1: the response is complete (*ret_used bytes were part of it); 0: more is wanted;
 * -EPROTO: not HTTP/1, or over a limit. */
int shim_http1_feed(struct shim_http1_response *response, const char *data, size_t len,
                    size_t *ret_used);

/* The peer closed: 1 if that ends the response (a body until close), -EPROTO otherwise. */
int shim_http1_eof(struct shim_http1_response *response);
