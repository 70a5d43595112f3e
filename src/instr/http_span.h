/* Semantic conventions of HTTP spans (1.44), shared by all instrumentations that speak HTTP. Knows
 * no library and no hook. Any thread. */
#pragma once

#include "trace/propagator.h"
#include "trace/span.h"

/* What OTELSHIM_PROPAGATE_TO and OTELSHIM_BAGGAGE_TO say about a host. */
struct shim_http_policy {
    bool context;
    bool baggage;
};

/* Where requests go, worked out once per URL: whether they are traced, what may be sent along, and
 * the attributes that are the same for each. */
struct shim_http_target {
    bool is_http;   /* http, https, ws or wss for certain */
    bool is_traced; /* is_http, and not in OTELSHIM_IGNORE_URLS */
    struct shim_http_policy policy;
    unsigned attribute_count;
    size_t encoded_len;
    uint8_t *encoded; /* malloced: url.full, server.address, server.port */
    size_t encoded_cap;
};

/* Takes a URL as a client is given it. default_scheme: "" when the library guesses by the host's
 * name. False: no memory; the target is not traced then. */
bool shim_http_target_set(struct shim_http_target *target, struct shim_str url,
                          struct shim_str default_scheme);
void shim_http_target_fini(struct shim_http_target *target);

struct shim_http_policy shim_http_policy_of_url(struct shim_str url);
/* Whether the answer may differ from host to host for these headers. */
bool shim_http_policy_is_restricted(const struct shim_headers *headers);

/* Whether a method is one of OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS. */
bool shim_http_method_is_known(struct shim_str method);
/* The name of a client span and its method attributes. `method` as it is sent. */
struct shim_str shim_http_span_name(struct shim_str method, bool known);
void shim_http_add_method(struct shim_span *span, struct shim_str method, bool known);

/* What a status means to a client: >= 400 is an error. */
void shim_http_add_client_error(struct shim_span *span, long status);

/* One captured header, `prefix` is "http.request.header." or "http.response.header.". */
void shim_http_add_header(struct shim_span *span, const char *prefix, struct shim_str name,
                          const struct shim_str *values, unsigned count);
