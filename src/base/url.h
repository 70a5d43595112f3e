/* Takes a URL apart the way libcurl does, without allocation; borrowed parts. Leaf.
 * Async-signal-safe. */
#pragma once

#include "str.h"

#include <stdint.h>

struct shim_url {
    struct shim_str scheme;   /* as written; empty when there is none */
    struct shim_str userinfo; /* without the @; empty when there is none */
    struct shim_str host;     /* without brackets, as written */
    bool host_is_ipv6;        /* it stood in brackets */
    uint16_t port;            /* 0: none given */
    struct shim_str path;     /* with its leading /; empty when there is none */
    struct shim_str query;    /* without the ? */
    struct shim_str fragment; /* without the # */
};

/* 0, or -EINVAL for what has no host (file:/x, mailto:x, garbage). A missing scheme is no error. */
int shim_url_parse(struct shim_str text, struct shim_url *ret_url);

/* url.full as the semantic conventions want it: userinfo becomes REDACTED:REDACTED; values of the
 * query parameters X-Amz-Signature, X-Amz-Credential, X-Amz-Security-Token, AWSAccessKeyId,
 * Signature, sig, X-Goog-Signature and of those in `more` (comma-separated, case-sensitive) become
 * REDACTED. `scheme` is put in front when the URL has none. Writes at most cap bytes without a NUL;
 * returns the length. What does not fit is cut. Control bytes are percent-encoded. */
size_t shim_url_redact(char *dst, size_t cap, struct shim_str text, const struct shim_url *url,
                       struct shim_str scheme, struct shim_str more);
