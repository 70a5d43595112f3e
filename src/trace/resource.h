/* What produces the spans: service, process, host, container (semantic conventions, Resource).
 * Detected once by the exporter, before its first request, and again in a forked child. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define SHIM_RESOURCE_MAX 128

struct shim_resource_attribute {
    const char *key;
    const char *text; /* NULL: `number` counts */
    int64_t number;
    unsigned items; /* 0: one value; else `text` is an array: so many texts, each with its NUL */
};

struct shim_resource {
    unsigned count;
    struct shim_resource_attribute attribute[SHIM_RESOURCE_MAX];
    char *memory; /* malloced: all keys and texts that are not static */
};

struct shim_resource_options {
    const char *service_name;        /* "" : from attributes, else unknown_service:<exe> */
    const char *resource_attributes; /* OTEL_RESOURCE_ATTRIBUTES as written */
    bool command_args;               /* process.command_args too: only when asked for */
};

/* Exporter thread only. 0, or -ENOMEM / -EINVAL for attributes that cannot be read (all of them are
 * discarded then, the rest of the resource is there). All texts are valid UTF-8. */
int shim_resource_detect(struct shim_resource *ret_resource,
                         const struct shim_resource_options *options);
void shim_resource_fini(struct shim_resource *resource);

/* NULL: not there. */
const char *shim_resource_get(const struct shim_resource *resource, const char *key);
