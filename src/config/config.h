/* The settings of a process: read once from its environment, never again. config.c holds the one
 * table of variables (name, type, default, documentation) and is the one file that reads the
 * environment. Filled in the constructor, before any thread of ours; constant afterwards. */
#pragma once

#include "base/log.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum shim_sampler_kind {
    SHIM_SAMPLER_ALWAYS_ON,
    SHIM_SAMPLER_ALWAYS_OFF,
    SHIM_SAMPLER_TRACEIDRATIO,
    SHIM_SAMPLER_PARENTBASED_ALWAYS_ON,
    SHIM_SAMPLER_PARENTBASED_ALWAYS_OFF,
    SHIM_SAMPLER_PARENTBASED_TRACEIDRATIO,
};

/* Bits, in the order in which propagators inject. */
enum shim_propagator_bit {
    SHIM_PROPAGATOR_TRACECONTEXT = 1 << 0,
    SHIM_PROPAGATOR_BAGGAGE = 1 << 1,
    SHIM_PROPAGATOR_B3 = 1 << 2,
    SHIM_PROPAGATOR_B3MULTI = 1 << 3,
    SHIM_PROPAGATOR_JAEGER = 1 << 4,
    SHIM_PROPAGATOR_XRAY = 1 << 5,
};

enum shim_exporter_bit {
    SHIM_EXPORTER_OTLP = 1 << 0,
    SHIM_EXPORTER_CONSOLE = 1 << 1,
    SHIM_EXPORTER_FILE = 1 << 2,
};

/* Families of instrumentation, OTELSHIM_INSTRUMENTATIONS. */
enum shim_family_bit {
    SHIM_FAMILY_CURL = 1 << 0,
    SHIM_FAMILY_THREAD = 1 << 1,
};

enum shim_compression { SHIM_COMPRESSION_NONE, SHIM_COMPRESSION_GZIP };

struct shim_span_limits {
    uint32_t attribute_count;
    uint32_t attribute_value_length; /* characters; UINT32_MAX: none */
    uint32_t event_count;
    uint32_t link_count;
    uint32_t event_attribute_count;
    uint32_t link_attribute_count;
};

/* Texts are NUL-terminated, "" when unset, and live as long as the process. */
struct shim_config {
    bool disabled;     /* OTELSHIM_DISABLED: no hook does anything */
    bool sdk_disabled; /* OTEL_SDK_DISABLED: no spans; contexts are still passed on */

    const char *service_name;        /* "" : unknown_service:<exe> */
    const char *resource_attributes; /* as written */
    bool command_args;               /* OTELSHIM_COMMAND_ARGS: process.command_args too */

    const char *log_target; /* "" : nowhere; "stderr" when only log_level was set */
    enum shim_log_level log_level;
    bool log_level_is_set;

    uint32_t propagators; /* shim_propagator_bit */
    enum shim_sampler_kind sampler;
    double sampler_ratio; /* 0..1 */

    uint32_t bsp_schedule_delay_ms;
    uint32_t bsp_export_timeout_ms;        /* 0: no limit */
    uint32_t bsp_max_queue_size;           /* spans; 0: unset, the memory limit alone counts */
    uint32_t bsp_max_export_batch_size;    /* spans */
    bool bsp_max_export_batch_size_is_set; /* unset: batches may grow when the collector is slow */

    struct shim_span_limits limits;

    uint32_t exporters;        /* shim_exporter_bit; 0: none */
    const char *otlp_endpoint; /* the whole URL that is posted to, v1/traces already in it */
    const char *otlp_headers;  /* baggage syntax, as written */
    uint32_t otlp_protocol;    /* 0: http/protobuf, the only one so far */
    bool otlp_insecure;        /* for gRPC endpoints without a scheme */
    enum shim_compression otlp_compression;
    uint32_t otlp_timeout_ms; /* 0: no limit */
    const char *otlp_certificate;
    const char *otlp_client_key;
    const char *otlp_client_certificate;

    const char *http_known_methods; /* comma-separated */

    uint32_t families;       /* shim_family_bit */
    uint64_t memory_limit;   /* bytes */
    const char *file_path;   /* OTELSHIM_FILE */
    uint64_t file_max_size;  /* bytes; OTELSHIM_FILE_MAX_SIZE */
    uint32_t file_max_count; /* rotated files kept; OTELSHIM_FILE_MAX_COUNT */
    bool no_color; /* NO_COLOR is set, or TERM is "dumb": the console exporter uses no colour */

    const char *ignore_urls;  /* globs */
    const char *redact_query; /* parameter names */
    const char *propagate_to; /* host globs and CIDRs; "" : everywhere */
    const char *baggage_to;   /* host globs and CIDRs beside those that are local by their look */
    const char *baggage_attributes;       /* baggage keys copied onto spans; globs */
    const char *capture_request_headers;  /* lower-case names;
                                             OTELSHIM_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS */
    const char *capture_response_headers; /* likewise */

    bool stacks;              /* OTELSHIM_STACKS: on failed spans */
    uint32_t stacks_after_ms; /* and on those that ran longer; 0: only failed ones */
};

extern struct shim_config shim_config;

/* Reads the environment. Called once, in the constructor, before anything else of ours;
 * async-signal-safe otherwise; allocates nothing. An absent variable costs one pass over
 * `environment` in all. */
void shim_config_read(char **environment);

/* What could not be read, one line each, ready to print: the variable, its value (cut), the default
 * used. Index from 0; NULL past the last. */
const char *shim_config_warning(unsigned index);

/* For the generated table and for tests. */
struct shim_config_doc {
    const char *name;
    const char *type; /* boolean, integer, duration (ms), size, ratio, list, text, one of … */
    const char *default_text; /* as the README prints it */
    const char *doc;
};

/* Index from 0; NULL past the last. */
const struct shim_config_doc *shim_config_doc(unsigned index);
