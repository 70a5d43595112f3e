/* The table of all variables, and the one pass over the environment that fills shim_config from it.
 * A new setting is one field in config.h and one row here; the README's table is printed from the
 * rows. Must not know what the settings do. Constructor only; async-signal-safe, allocates nothing.
 */
#include "config/config.h"

#include "base/buf.h"
#include "config/setting.h"

#include <limits.h>

#define WARNINGS_MAX 64
#define WARNING_SIZE 320
#define VALUE_SHOWN  40

struct shim_config shim_config;

static const struct shim_choice log_levels[] = {
    {"none", SHIM_LOG_NONE, false},   {"error", SHIM_LOG_ERROR, false},
    {"warn", SHIM_LOG_WARN, false},   {"warning", SHIM_LOG_WARN, false},
    {"info", SHIM_LOG_INFO, false},   {"debug", SHIM_LOG_DEBUG, false},
    {"trace", SHIM_LOG_DEBUG, false}, {NULL, 0, false},
};

static const struct shim_choice propagators[] = {
    {"tracecontext", SHIM_PROPAGATOR_TRACECONTEXT, false},
    {"baggage", SHIM_PROPAGATOR_BAGGAGE, false},
    {"b3", SHIM_PROPAGATOR_B3, false},
    {"b3multi", SHIM_PROPAGATOR_B3MULTI, false},
    {"jaeger", SHIM_PROPAGATOR_JAEGER, false},
    {"xray", SHIM_PROPAGATOR_XRAY, false},
    {"none", 0, false},
    {"ottrace", 0, true},
    {NULL, 0, false},
};

static const struct shim_choice samplers[] = {
    {"always_on", SHIM_SAMPLER_ALWAYS_ON, false},
    {"always_off", SHIM_SAMPLER_ALWAYS_OFF, false},
    {"traceidratio", SHIM_SAMPLER_TRACEIDRATIO, false},
    {"parentbased_always_on", SHIM_SAMPLER_PARENTBASED_ALWAYS_ON, false},
    {"parentbased_always_off", SHIM_SAMPLER_PARENTBASED_ALWAYS_OFF, false},
    {"parentbased_traceidratio", SHIM_SAMPLER_PARENTBASED_TRACEIDRATIO, false},
    {"jaeger_remote", 0, true},
    {"parentbased_jaeger_remote", 0, true},
    {"xray", 0, true},
    {NULL, 0, false},
};

static const struct shim_choice exporters[] = {
    {"otlp", SHIM_EXPORTER_OTLP, false},
    {"console", SHIM_EXPORTER_CONSOLE, false},
    {"file", SHIM_EXPORTER_FILE, false},
    {"none", 0, false},
    {"zipkin", 0, true},
    {NULL, 0, false},
};

static const struct shim_choice protocols[] = {
    {"http/protobuf", 0, false},
    {"http/json", 0, true},
    {"grpc", 0, true},
    {NULL, 0, false},
};

static const struct shim_choice compressions[] = {
    {"none", SHIM_COMPRESSION_NONE, false},
    {"gzip", SHIM_COMPRESSION_GZIP, false},
    {NULL, 0, false},
};

static const struct shim_choice families[] = {
    {"curl", SHIM_FAMILY_CURL, false},
    {"thread", SHIM_FAMILY_THREAD, false},
    {NULL, 0, false},
};

/* The integers of the specification go to 2^31-1. */
#define INT_RANGE    .max = INT_MAX
#define SIGNAL(of)   "that of " of
#define FIELD(name)  .field = offsetof(struct shim_config, name)
#define IS_SET(name) .is_set = offsetof(struct shim_config, name)

/* The default is read as if it had been set. */
#define SETTING(name, type, value, text, reader, ...)                                              \
    {                                                                                              \
        .doc = {name, type, value, text}, .read = reader, .initial = value, __VA_ARGS__            \
    }
/* The default is what an earlier row has put into the same field, or zero; `shown` says so. */
#define DERIVED(name, type, shown, text, reader, ...)                                              \
    {                                                                                              \
        .doc = {name, type, shown, text}, .read = reader, __VA_ARGS__                              \
    }

/* By name, for the look-up; so each variable also comes behind the one that it overrides. */
static const struct shim_setting settings[] = {
    SETTING("OTELSHIM_BAGGAGE_ATTRIBUTES", "list of globs", "",
            "Baggage entries that are copied onto spans as attributes of the same name.",
            shim_read_text, FIELD(baggage_attributes)),
    SETTING("OTELSHIM_BAGGAGE_TO", "list of hosts", "",
            "Hosts that baggage is sent to, beside those that are local by their look (loopback "
            "and private addresses, single labels, `.local`, `.internal`, `.svc`, "
            "`.cluster.local`): globs and networks such as `*.example.org,10.0.0.0/8`.",
            shim_read_hosts, FIELD(baggage_to)),
    SETTING("OTELSHIM_COMMAND_ARGS", "boolean", "false",
            "Adds the process's arguments to the resource (process.command_args). They may hold "
            "secrets.",
            shim_read_boolean, FIELD(command_args)),
    SETTING("OTELSHIM_DISABLED", "boolean", "false", "The kill switch: no hook does anything.",
            shim_read_boolean, FIELD(disabled)),
    SETTING("OTELSHIM_FILE", "path", "",
            "Where the `file` exporter writes: OTLP as JSON, one request a line.", shim_read_text,
            FIELD(file_path)),
    SETTING("OTELSHIM_FILE_MAX_COUNT", "integer", "4",
            "Files kept beside the current one, 1 to 1000.", shim_read_integer,
            FIELD(file_max_count), .min = 1, .max = 1000),
    SETTING("OTELSHIM_FILE_MAX_SIZE", "size", "64Mi",
            "At this size the file is put aside and a new one begun.", shim_read_size,
            FIELD(file_max_size), .min = 4096, .max = INT64_MAX),
    SETTING("OTELSHIM_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS", "list", "",
            "Request headers that become attributes of client spans (http.request.header.*).",
            shim_read_lowercase, FIELD(capture_request_headers)),
    SETTING("OTELSHIM_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS", "list", "",
            "The same for response headers (http.response.header.*).", shim_read_lowercase,
            FIELD(capture_response_headers)),
    SETTING("OTELSHIM_IGNORE_URLS", "list of globs", "",
            "Outgoing URLs that make no span and get no trace context, such as "
            "`*/healthz,*://169.254.169.254/*`.",
            shim_read_text, FIELD(ignore_urls)),
    DERIVED("OTELSHIM_INSTRUMENTATIONS", "list", "all",
            "Families of hooks that work: `curl`, `thread`. `-name` takes one out of all.",
            shim_read_switches, FIELD(families), .choices = families, .initial = "curl,thread"),
    SETTING("OTELSHIM_LOG", "text", "",
            "Where messages go: `stderr`, `syslog` or a file's path. Nowhere by default, or to "
            "stderr when OTEL_LOG_LEVEL is set.",
            shim_read_text, FIELD(log_target)),
    SETTING("OTELSHIM_MEMORY_LIMIT", "size", "16Mi",
            "Bound of the memory in which finished spans wait; at least `256Ki`. What does not fit "
            "is dropped and counted.",
            shim_read_size, FIELD(memory_limit), .min = 262144, .max = UINT64_C(1) << 36),
    DERIVED("OTELSHIM_PROPAGATE_TO", "list of hosts", "everywhere",
            "Hosts that trace context is sent to: globs and networks, as in OTELSHIM_BAGGAGE_TO.",
            shim_read_hosts, FIELD(propagate_to), .initial = ""),
    SETTING("OTELSHIM_REDACT_QUERY", "list", "",
            "Query parameters whose values are redacted in url.full, beside the signatures and "
            "credentials of the large clouds.",
            shim_read_text, FIELD(redact_query)),
    SETTING("OTELSHIM_STACKS", "boolean", "false",
            "Takes a call stack (code.stacktrace) where a span failed.", shim_read_boolean,
            FIELD(stacks)),
    DERIVED("OTELSHIM_STACKS_AFTER", "duration (ms)", "off",
            "Takes one also where a span ran longer than this; needs OTELSHIM_STACKS.",
            shim_read_duration, FIELD(stacks_after_ms), INT_RANGE),
    SETTING("OTEL_ATTRIBUTE_COUNT_LIMIT", "integer", "128",
            "Attributes of a span; what is more is dropped and counted.", shim_read_integer,
            FIELD(limits.attribute_count), INT_RANGE),
    DERIVED("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "integer", "no limit",
            "Characters of an attribute's value; what is more is cut off.", shim_read_integer,
            FIELD(limits.attribute_value_length), INT_RANGE),
    SETTING("OTEL_BSP_EXPORT_TIMEOUT", "duration (ms)", "30000",
            "Longest time for one batch with all attempts; 0: no limit.", shim_read_duration,
            FIELD(bsp_export_timeout_ms), INT_RANGE),
    SETTING("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "integer", "512",
            "Spans in one request. Unless set, requests grow when the collector is slow.",
            shim_read_integer, FIELD(bsp_max_export_batch_size),
            IS_SET(bsp_max_export_batch_size_is_set), .min = 1, INT_RANGE),
    DERIVED("OTEL_BSP_MAX_QUEUE_SIZE", "integer", "OTELSHIM_MEMORY_LIMIT alone counts",
            "Finished spans that may wait.", shim_read_integer, FIELD(bsp_max_queue_size), .min = 1,
            INT_RANGE),
    SETTING("OTEL_BSP_SCHEDULE_DELAY", "duration (ms)", "5000",
            "Longest time that a finished span waits for others; less than 20 counts as 20.",
            shim_read_duration, FIELD(bsp_schedule_delay_ms), INT_RANGE),
    SETTING("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "integer", "128", "Attributes of a span event.",
            shim_read_integer, FIELD(limits.event_attribute_count), INT_RANGE),
    SETTING("OTEL_EXPORTER_OTLP_CERTIFICATE", "path", "",
            "PEM file of the authorities that the collector's certificate is checked against; "
            "unless set, the system's.",
            shim_read_text, FIELD(otlp_certificate)),
    SETTING("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "path", "",
            "PEM file of our own certificate, for a collector that asks for one.", shim_read_text,
            FIELD(otlp_client_certificate)),
    SETTING("OTEL_EXPORTER_OTLP_CLIENT_KEY", "path", "", "PEM file of its private key.",
            shim_read_text, FIELD(otlp_client_key)),
    SETTING("OTEL_EXPORTER_OTLP_COMPRESSION", "none, gzip", "none", "Compression of requests.",
            shim_read_choice, FIELD(otlp_compression), .choices = compressions),
    SETTING("OTEL_EXPORTER_OTLP_ENDPOINT", "URL", "http://localhost:4318",
            "The collector; `v1/traces` is added to its path.", shim_read_endpoint_base,
            FIELD(otlp_endpoint)),
    SETTING("OTEL_EXPORTER_OTLP_HEADERS", "list of key=value", "",
            "Headers of each request, percent-encoded.", shim_read_pairs, FIELD(otlp_headers),
            .is_secret = true),
    SETTING("OTEL_EXPORTER_OTLP_INSECURE", "boolean", "false",
            "Counts for gRPC only, which is not supported yet.", shim_read_boolean,
            FIELD(otlp_insecure)),
    SETTING("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "http/protobuf",
            "`grpc` and `http/json` are not supported yet.", shim_read_choice, FIELD(otlp_protocol),
            .choices = protocols),
    SETTING("OTEL_EXPORTER_OTLP_TIMEOUT", "duration (ms)", "10000",
            "Longest time for one request; 0: no limit.", shim_read_duration,
            FIELD(otlp_timeout_ms), INT_RANGE),
    DERIVED("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "path",
            SIGNAL("OTEL_EXPORTER_OTLP_CERTIFICATE"), "The same, for traces only.", shim_read_text,
            FIELD(otlp_certificate)),
    DERIVED("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "path",
            SIGNAL("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), "The same, for traces only.",
            shim_read_text, FIELD(otlp_client_certificate)),
    DERIVED("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "path", SIGNAL("OTEL_EXPORTER_OTLP_CLIENT_KEY"),
            "The same, for traces only.", shim_read_text, FIELD(otlp_client_key)),
    DERIVED("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none, gzip",
            SIGNAL("OTEL_EXPORTER_OTLP_COMPRESSION"), "The same, for traces only.",
            shim_read_choice, FIELD(otlp_compression), .choices = compressions),
    DERIVED("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "URL", SIGNAL("OTEL_EXPORTER_OTLP_ENDPOINT"),
            "The whole URL for traces, used as it is.", shim_read_endpoint, FIELD(otlp_endpoint)),
    DERIVED("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "list of key=value",
            SIGNAL("OTEL_EXPORTER_OTLP_HEADERS"), "The same, for traces only.", shim_read_pairs,
            FIELD(otlp_headers), .is_secret = true),
    DERIVED("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "boolean", SIGNAL("OTEL_EXPORTER_OTLP_INSECURE"),
            "The same, for traces only.", shim_read_boolean, FIELD(otlp_insecure)),
    DERIVED("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf",
            SIGNAL("OTEL_EXPORTER_OTLP_PROTOCOL"), "The same, for traces only.", shim_read_choice,
            FIELD(otlp_protocol), .choices = protocols),
    DERIVED("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "duration (ms)",
            SIGNAL("OTEL_EXPORTER_OTLP_TIMEOUT"), "The same, for traces only.", shim_read_duration,
            FIELD(otlp_timeout_ms), INT_RANGE),
    SETTING("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "list",
            "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,QUERY,TRACE",
            "Methods that spans name; others are `_OTHER`. Case counts.", shim_read_text,
            FIELD(http_known_methods)),
    SETTING("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "integer", "128", "Attributes of a span link.",
            shim_read_integer, FIELD(limits.link_attribute_count), INT_RANGE),
    SETTING("OTEL_LOG_LEVEL", "none, error, warn, info, debug", "info",
            "What is more detailed is not logged.", shim_read_choice, FIELD(log_level),
            IS_SET(log_level_is_set), .choices = log_levels),
    SETTING("OTEL_PROPAGATORS", "list", "tracecontext,baggage",
            "Formats of trace context: `tracecontext`, `baggage`, `b3`, `b3multi`, `jaeger`, "
            "`xray`, `none`.",
            shim_read_bits, FIELD(propagators), .choices = propagators),
    SETTING("OTEL_RESOURCE_ATTRIBUTES", "list of key=value", "",
            "What else describes the service, percent-encoded. One mistake discards all of it.",
            shim_read_pairs, FIELD(resource_attributes)),
    SETTING("OTEL_SDK_DISABLED", "boolean", "false",
            "No spans; trace context that came in is still passed on.", shim_read_boolean,
            FIELD(sdk_disabled)),
    DERIVED("OTEL_SERVICE_NAME", "text", "unknown_service:<executable>",
            "The service's name; wins over OTEL_RESOURCE_ATTRIBUTES.", shim_read_text,
            FIELD(service_name), .initial = ""),
    DERIVED("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "integer", SIGNAL("OTEL_ATTRIBUTE_COUNT_LIMIT"),
            "Attributes of a span.", shim_read_integer, FIELD(limits.attribute_count), INT_RANGE),
    DERIVED("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "integer",
            SIGNAL("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"), "Characters of a span attribute's value.",
            shim_read_integer, FIELD(limits.attribute_value_length), INT_RANGE),
    SETTING("OTEL_SPAN_EVENT_COUNT_LIMIT", "integer", "128", "Events of a span.", shim_read_integer,
            FIELD(limits.event_count), INT_RANGE),
    SETTING("OTEL_SPAN_LINK_COUNT_LIMIT", "integer", "128", "Links of a span.", shim_read_integer,
            FIELD(limits.link_count), INT_RANGE),
    SETTING("OTEL_TRACES_EXPORTER", "list", "otlp",
            "Where spans go: `otlp`, `console` (a tree on stderr; NO_COLOR is honoured), `file` "
            "(OTELSHIM_FILE), `none` (contexts are still made and sent).",
            shim_read_bits, FIELD(exporters), .choices = exporters),
    SETTING("OTEL_TRACES_SAMPLER", "name", "parentbased_always_on",
            "`always_on`, `always_off`, `traceidratio`, `parentbased_always_on`, "
            "`parentbased_always_off`, `parentbased_traceidratio`.",
            shim_read_choice, FIELD(sampler), .choices = samplers),
    SETTING("OTEL_TRACES_SAMPLER_ARG", "ratio", "1.0",
            "Share of traces that the traceidratio samplers keep, 0 to 1.", shim_read_ratio,
            FIELD(sampler_ratio)),
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* One for each variable, and what reconcile() may add. */
_Static_assert(SETTINGS + 4 <= WARNINGS_MAX, "a warning could be lost");
static char warnings[WARNINGS_MAX][WARNING_SIZE];
static unsigned warning_count;

const char *shim_config_warning(unsigned index)
{
    return index < warning_count ? warnings[index] : NULL;
}

const struct shim_config_doc *shim_config_doc(unsigned index)
{
    return index < SETTINGS ? &settings[index].doc : NULL;
}

/* Begins a line, false when there is no more room. */
static bool warning_begin(struct shim_buf *buf)
{
    if (warning_count == WARNINGS_MAX)
        return false;
    shim_buf_init(buf, warnings[warning_count++], WARNING_SIZE);
    return true;
}

/* As much of a value as tells which one it is, in quotes; what could steer a terminal is left out.
 */
static void add_quoted(struct shim_buf *buf, struct shim_str text)
{
    shim_buf_add_char(buf, '"');
    for (size_t i = 0; i < text.len && i < VALUE_SHOWN; i++) {
        char c = text.ptr[i];
        shim_buf_add_char(buf, c >= 0x20 && c < 0x7f ? c : '?');
    }
    shim_buf_add_text(buf, text.len > VALUE_SHOWN ? "...\"" : "\"");
}

static void warn_unreadable(const struct shim_setting *setting, struct shim_str text,
                            const struct shim_problem *problem)
{
    struct shim_buf buf;
    const char *used = setting->doc.default_text;
    if (!warning_begin(&buf))
        return;
    shim_buf_add_text(&buf, setting->doc.name);
    /* A URL may have a password in it. */
    if (!setting->is_secret && !memchr(text.ptr, '@', text.len)) {
        shim_buf_add_char(&buf, '=');
        add_quoted(&buf, text);
    }
    if (problem->member.len > 0) {
        shim_buf_add_text(&buf, ": ");
        add_quoted(&buf, problem->member);
    }
    shim_buf_add_char(&buf, ' ');
    shim_buf_add_text(&buf, problem->what);
    shim_buf_add_text(&buf, problem->is_partial || !used[0] ? "; ignored" : "; using ");
    if (!problem->is_partial)
        shim_buf_add_text(&buf, used);
}

static void warn(const char *text)
{
    struct shim_buf buf;
    if (warning_begin(&buf))
        shim_buf_add_text(&buf, text);
}

/* Order of the bytes, as strcmp; `name` has no NUL. */
static int compare_name(struct shim_str name, const char *other)
{
    int order = strncmp(name.ptr, other, name.len);
    return order != 0 || other[name.len] == '\0' ? order : -1;
}

static const struct shim_setting *setting_find(struct shim_str name)
{
    size_t low = 0, high = SETTINGS;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_name(name, settings[middle].doc.name);
        if (order == 0)
            return &settings[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Where the first entry of each variable has its value; returns how long all of them are. */
static size_t collect(char **environment, const char *values[SETTINGS])
{
    size_t bytes = 0;
    for (char **entry = environment; entry && *entry; entry++) {
        const char *text = *entry;
        if (strncmp(text, "OTEL", 4) == 0) {
            const char *equals = strchr(text, '=');
            const struct shim_setting *setting =
                equals ? setting_find(shim_str_n(text, (size_t)(equals - text))) : NULL;
            if (!setting || values[setting - settings])
                continue;
            values[setting - settings] = equals + 1;
            bytes += strlen(equals + 1) + 1;
        } else if (strncmp(text, "NO_COLOR=", 9) == 0) {
            shim_config.no_color = shim_config.no_color || text[9] != '\0';
        } else if (strcmp(text, "TERM=dumb") == 0) {
            shim_config.no_color = true;
        }
    }
    return bytes;
}

static bool is_text(const struct shim_setting *setting)
{
    return setting->read == shim_read_text;
}

static void read_one(const struct shim_setting *setting, const char *value)
{
    char *base = (char *)&shim_config;
    if (setting->initial)
        setting->read(setting, shim_str(setting->initial), base + setting->field);
    struct shim_str text = shim_str(value);
    if (!is_text(setting))
        text = shim_str_trim(text);
    if (text.len == 0)
        return;
    struct shim_str kept = shim_setting_keep(text);
    struct shim_problem problem = {.what = "is too long"};
    if (kept.ptr)
        problem = setting->read(setting, kept, base + setting->field);
    if (problem.what)
        warn_unreadable(setting, text, &problem);
    if (setting->is_set && (!problem.what || problem.is_partial))
        *(bool *)(base + setting->is_set) = true;
}

/* What only the settings together can tell. */
static void reconcile(struct shim_config *config)
{
    uint32_t queue = config->bsp_max_queue_size;
    if (queue != 0 && config->bsp_max_export_batch_size > queue) {
        if (config->bsp_max_export_batch_size_is_set)
            warn("OTEL_BSP_MAX_EXPORT_BATCH_SIZE is more than OTEL_BSP_MAX_QUEUE_SIZE; using the "
                 "size of the queue");
        config->bsp_max_export_batch_size = queue;
    }
    if ((config->exporters & SHIM_EXPORTER_FILE) && !config->file_path[0])
        warn("OTEL_TRACES_EXPORTER has \"file\", but OTELSHIM_FILE is not set; no file is written");
    if (!config->otlp_client_key[0] != !config->otlp_client_certificate[0])
        warn("OTEL_EXPORTER_OTLP_CLIENT_KEY and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE go together, "
             "but only one is set");
    if (config->stacks_after_ms != 0 && !config->stacks)
        warn("OTELSHIM_STACKS_AFTER is set, but OTELSHIM_STACKS is not; no call stacks are taken");
    if (!config->log_target[0] && config->log_level_is_set)
        config->log_target = "stderr";
}

void shim_config_read(char **environment)
{
    const char *values[SETTINGS] = {NULL};
    memset(warnings, 0, warning_count * sizeof(warnings[0]));
    warning_count = 0;
    shim_config = (struct shim_config){.limits.attribute_value_length = UINT32_MAX};
    size_t bytes = collect(environment, values);
    /* Twice: endpoints and lower-case lists are written a second time, with up to 12 bytes more. */
    shim_setting_room(2 * bytes + 128);
    for (size_t i = 0; i < SETTINGS; i++)
        read_one(&settings[i], values[i]);
    reconcile(&shim_config);
}
