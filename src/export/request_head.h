/* What both transports put into the head of a request, from the endpoint and
 * OTEL_EXPORTER_OTLP_HEADERS. Exporter thread only. */
#pragma once

#include "base/url.h"

#include <stddef.h>

#define SHIM_REQUEST_MESSAGE 256

/* New text of whole header lines "Name: value\r\n": User-Agent, Authorization for a URL with
 * userinfo, and those configured in `headers` (baggage syntax, values percent-decoded; OTLP
 * exporter specification). A member that cannot be sent as written is left out and named in
 * ret_message (SHIM_REQUEST_MESSAGE bytes; "" when there is none). NULL: no memory. The caller
 * frees it. */
char *shim_request_head_new(const struct shim_url *url, const char *headers, char *ret_message);

/* Undoes %XX; in place of the caller's dst, which has room for text.len bytes. Returns the length.
 * What is no valid escape stays as it is. */
size_t shim_request_decode(char *dst, struct shim_str text);
