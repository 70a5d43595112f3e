/* The environment as the specification wants it read: defaults, parsing, precedence, and one clear
 * line for what cannot be read (config/config.h). */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Reads the environment that is given as arguments. */
#define READ(...)                                                                                  \
    do {                                                                                           \
        char *entries_read[] = {__VA_ARGS__, NULL};                                                \
        shim_config_read(entries_read);                                                            \
    } while (0)

static void assert_warnings(unsigned wanted)
{
    unsigned count = 0;
    while (shim_config_warning(count))
        count++;
    if (count != wanted)
        fail_msg("%u warnings, the first: %s", count, count ? shim_config_warning(0) : "");
}

static void assert_one_warning(const char *wanted)
{
    assert_warnings(1);
    assert_string_equal(shim_config_warning(0), wanted);
}

static void test_defaults(void **state)
{
    const struct shim_config *c = &shim_config;
    (void)state;
    READ("PATH=/bin", "HOME=/");
    assert_warnings(0);
    assert_false(c->disabled || c->sdk_disabled || c->command_args || c->stacks || c->no_color);
    assert_false(c->log_level_is_set || c->bsp_max_export_batch_size_is_set || c->otlp_insecure);
    assert_string_equal(c->service_name, "");
    assert_string_equal(c->resource_attributes, "");
    assert_string_equal(c->log_target, "");
    assert_int_equal(c->log_level, SHIM_LOG_INFO);
    assert_int_equal(c->propagators, SHIM_PROPAGATOR_TRACECONTEXT | SHIM_PROPAGATOR_BAGGAGE);
    assert_int_equal(c->sampler, SHIM_SAMPLER_PARENTBASED_ALWAYS_ON);
    assert_true(c->sampler_ratio == 1.0);
    assert_int_equal(c->bsp_schedule_delay_ms, 5000);
    assert_int_equal(c->bsp_export_timeout_ms, 30000);
    assert_int_equal(c->bsp_max_queue_size, 0);
    assert_int_equal(c->bsp_max_export_batch_size, 512);
    assert_int_equal(c->limits.attribute_count, 128);
    assert_int_equal(c->limits.attribute_value_length, UINT32_MAX);
    assert_int_equal(c->limits.event_count, 128);
    assert_int_equal(c->limits.link_count, 128);
    assert_int_equal(c->limits.event_attribute_count, 128);
    assert_int_equal(c->limits.link_attribute_count, 128);
    assert_int_equal(c->exporters, SHIM_EXPORTER_OTLP);
    assert_string_equal(c->otlp_endpoint, "http://localhost:4318/v1/traces");
    assert_int_equal(c->otlp_compression, SHIM_COMPRESSION_NONE);
    assert_int_equal(c->otlp_timeout_ms, 10000);
    assert_string_equal(c->http_known_methods,
                        "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,QUERY,TRACE");
    assert_int_equal(c->families, SHIM_FAMILY_CURL | SHIM_FAMILY_THREAD);
    assert_int_equal(c->memory_limit, 16 << 20);
    assert_int_equal(c->file_max_size, 64 << 20);
    assert_int_equal(c->file_max_count, 4);
    assert_int_equal(c->stacks_after_ms, 0);
    assert_string_equal(c->propagate_to, "");
    const char *const texts[] = {c->otlp_headers,
                                 c->otlp_certificate,
                                 c->otlp_client_key,
                                 c->otlp_client_certificate,
                                 c->file_path,
                                 c->ignore_urls,
                                 c->redact_query,
                                 c->baggage_to,
                                 c->baggage_attributes,
                                 c->capture_request_headers,
                                 c->capture_response_headers};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_string_equal(texts[i], "");
}

/* Empty is unset, for every variable there is; and reading again forgets what was read before. */
static void test_empty_is_unset(void **state)
{
    char entries[100][80];
    char *environment[101] = {NULL};
    const struct shim_config_doc *doc;
    unsigned count = 0;
    (void)state;
    READ("NOTHING=1");
    struct shim_config defaults = shim_config;
    char endpoint[64];
    strcpy(endpoint, shim_config.otlp_endpoint);
    READ("OTEL_SERVICE_NAME=x", "OTEL_SDK_DISABLED=true", "OTEL_BSP_SCHEDULE_DELAY=x");
    assert_string_equal(shim_config.service_name, "x");
    assert_true(shim_config.sdk_disabled);
    assert_warnings(1);
    for (; (doc = shim_config_doc(count)); count++) {
        assert_true(count < 100);
        snprintf(entries[count], sizeof(entries[count]), "%s=", doc->name);
        environment[count] = entries[count];
    }
    assert_true(count > 50);
    shim_config_read(environment);
    assert_warnings(0);
    assert_string_equal(shim_config.otlp_endpoint, endpoint);
    defaults.otlp_endpoint = shim_config.otlp_endpoint;
    /* These two are copied even when empty. */
    defaults.capture_request_headers = shim_config.capture_request_headers;
    defaults.capture_response_headers = shim_config.capture_response_headers;
    assert_memory_equal(&shim_config, &defaults, sizeof(defaults));
}

/* The look-up is a binary search; and each variable comes behind the one it overrides. */
static void test_table_is_sorted(void **state)
{
    const struct shim_config_doc *doc, *before = NULL;
    (void)state;
    for (unsigned i = 0; (doc = shim_config_doc(i)); before = doc, i++) {
        assert_true(!before || strcmp(before->name, doc->name) < 0);
        assert_true(strncmp(doc->name, "OTEL", 4) == 0 && doc->type[0] && doc->doc[0]);
    }
}

static void test_boolean(void **state)
{
    (void)state;
    READ("OTEL_SDK_DISABLED=TrUe", "OTELSHIM_DISABLED=true");
    assert_true(shim_config.sdk_disabled && shim_config.disabled);
    READ("OTEL_SDK_DISABLED=FALSE");
    assert_false(shim_config.sdk_disabled);
    assert_warnings(0);
    READ("OTEL_SDK_DISABLED=1");
    assert_false(shim_config.sdk_disabled);
    assert_one_warning("OTEL_SDK_DISABLED=\"1\" is neither true nor false; using false");
}

static void test_numbers(void **state)
{
    static const char *const bad[] = {"-1",         "5s", "1.5", "0x10",
                                      "2147483648", "+1", "1 2", "99999999999999999999999"};
    (void)state;
    READ("OTEL_BSP_SCHEDULE_DELAY=0", "OTEL_BSP_EXPORT_TIMEOUT=2147483647",
         "OTEL_BSP_MAX_QUEUE_SIZE= 99 ", "OTEL_SPAN_EVENT_COUNT_LIMIT=0",
         "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=99");
    assert_warnings(0);
    assert_int_equal(shim_config.bsp_schedule_delay_ms, 0);
    assert_int_equal(shim_config.bsp_export_timeout_ms, INT32_MAX);
    assert_int_equal(shim_config.bsp_max_queue_size, 99);
    assert_int_equal(shim_config.limits.event_count, 0);
    assert_true(shim_config.bsp_max_export_batch_size_is_set);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char entry[64] = "OTEL_BSP_SCHEDULE_DELAY=";
        READ(strcat(entry, bad[i]));
        assert_warnings(1);
        assert_int_equal(shim_config.bsp_schedule_delay_ms, 5000);
    }
    READ("OTEL_BSP_SCHEDULE_DELAY=5s");
    assert_one_warning(
        "OTEL_BSP_SCHEDULE_DELAY=\"5s\" is not a number of milliseconds; using 5000");
    READ("OTEL_BSP_MAX_QUEUE_SIZE=0");
    assert_one_warning(
        "OTEL_BSP_MAX_QUEUE_SIZE=\"0\" is out of range; using OTELSHIM_MEMORY_LIMIT alone counts");
}

static void test_sizes(void **state)
{
    static const struct {
        char *entry;
        uint64_t bytes;
    } good[] = {
        {"OTELSHIM_MEMORY_LIMIT=262144", 262144},  {"OTELSHIM_MEMORY_LIMIT=300k", 300000},
        {"OTELSHIM_MEMORY_LIMIT=400Ki", 409600},   {"OTELSHIM_MEMORY_LIMIT=2M", 2000000},
        {"OTELSHIM_MEMORY_LIMIT=2MiB", 2097152},   {"OTELSHIM_MEMORY_LIMIT=1G", 1000000000},
        {"OTELSHIM_MEMORY_LIMIT=1gi", 1073741824}, {"OTELSHIM_MEMORY_LIMIT=3 MB", 3000000},
    };
    static char *const bad[] = {"OTELSHIM_MEMORY_LIMIT=1", "OTELSHIM_MEMORY_LIMIT=16T",
                                "OTELSHIM_MEMORY_LIMIT=Mi", "OTELSHIM_MEMORY_LIMIT=1.5G",
                                "OTELSHIM_MEMORY_LIMIT=99999999999999G"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        READ(good[i].entry);
        assert_warnings(0);
        assert_int_equal(shim_config.memory_limit, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        READ(bad[i]);
        assert_warnings(1);
        assert_int_equal(shim_config.memory_limit, 16 << 20);
    }
}

static void test_ratio(void **state)
{
    static const struct {
        char *entry;
        double ratio;
    } good[] = {
        {"OTEL_TRACES_SAMPLER_ARG=0.1", 0.1},
        {"OTEL_TRACES_SAMPLER_ARG=.25", 0.25},
        {"OTEL_TRACES_SAMPLER_ARG=0", 0},
        {"OTEL_TRACES_SAMPLER_ARG=1.000", 1},
        {"OTEL_TRACES_SAMPLER_ARG=1e-4", 1e-4},
        {"OTEL_TRACES_SAMPLER_ARG=5E-1", 0.5},
        {"OTEL_TRACES_SAMPLER_ARG=100e-2", 1},
        {"OTEL_TRACES_SAMPLER_ARG=0.3", 0.3},
        {"OTEL_TRACES_SAMPLER_ARG=0.0001234", 0.0001234},
        {"OTEL_TRACES_SAMPLER_ARG=1e-999", 0},
    };
    static char *const bad[] = {"OTEL_TRACES_SAMPLER_ARG=1.1",  "OTEL_TRACES_SAMPLER_ARG=-0.1",
                                "OTEL_TRACES_SAMPLER_ARG=0,5",  "OTEL_TRACES_SAMPLER_ARG=.",
                                "OTEL_TRACES_SAMPLER_ARG=1e",   "OTEL_TRACES_SAMPLER_ARG=0.5x",
                                "OTEL_TRACES_SAMPLER_ARG=nan",  "OTEL_TRACES_SAMPLER_ARG=1e999",
                                "OTEL_TRACES_SAMPLER_ARG=1.2.3"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        READ(good[i].entry);
        assert_warnings(0);
        if (shim_config.sampler_ratio != good[i].ratio)
            fail_msg("%s: %.17g", good[i].entry, shim_config.sampler_ratio);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        READ(bad[i]);
        assert_warnings(1);
        assert_true(shim_config.sampler_ratio == 1.0);
    }
}

static void test_enums(void **state)
{
    (void)state;
    READ("OTEL_TRACES_SAMPLER=ParentBased_TraceIdRatio", "OTEL_LOG_LEVEL=DEBUG",
         "OTEL_EXPORTER_OTLP_COMPRESSION=GZIP");
    assert_warnings(0);
    assert_int_equal(shim_config.sampler, SHIM_SAMPLER_PARENTBASED_TRACEIDRATIO);
    assert_int_equal(shim_config.log_level, SHIM_LOG_DEBUG);
    assert_true(shim_config.log_level_is_set);
    assert_string_equal(shim_config.log_target, "stderr");
    assert_int_equal(shim_config.otlp_compression, SHIM_COMPRESSION_GZIP);
    READ("OTEL_LOG_LEVEL=loud");
    assert_false(shim_config.log_level_is_set);
    assert_string_equal(shim_config.log_target, "");
    assert_one_warning("OTEL_LOG_LEVEL=\"loud\" is not known; using info");
    READ("OTEL_TRACES_SAMPLER=jaeger_remote");
    assert_one_warning(
        "OTEL_TRACES_SAMPLER=\"jaeger_remote\" is not supported; using parentbased_always_on");
    READ("OTEL_TRACES_SAMPLER=xray");
    assert_warnings(1);
    READ("OTEL_EXPORTER_OTLP_PROTOCOL=grpc");
    assert_one_warning(
        "OTEL_EXPORTER_OTLP_PROTOCOL=\"grpc\" is not supported; using http/protobuf");
    READ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json");
    assert_warnings(1);
    READ("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf");
    assert_warnings(0);
}

static void test_lists(void **state)
{
    (void)state;
    READ("OTEL_PROPAGATORS=b3, tracecontext,b3,,XRAY", "OTEL_TRACES_EXPORTER=console,otlp,file",
         "OTELSHIM_FILE=/tmp/x");
    assert_warnings(0);
    assert_int_equal(shim_config.propagators,
                     SHIM_PROPAGATOR_B3 | SHIM_PROPAGATOR_TRACECONTEXT | SHIM_PROPAGATOR_XRAY);
    assert_int_equal(shim_config.exporters,
                     SHIM_EXPORTER_CONSOLE | SHIM_EXPORTER_OTLP | SHIM_EXPORTER_FILE);
    READ("OTEL_PROPAGATORS=none", "OTEL_TRACES_EXPORTER=none");
    assert_warnings(0);
    assert_int_equal(shim_config.propagators, 0);
    assert_int_equal(shim_config.exporters, 0);
    READ("OTEL_PROPAGATORS=ottrace,jaeger");
    assert_one_warning(
        "OTEL_PROPAGATORS=\"ottrace,jaeger\": \"ottrace\" is not supported; ignored");
    assert_int_equal(shim_config.propagators, SHIM_PROPAGATOR_JAEGER);
    READ("OTEL_PROPAGATORS=foo");
    assert_one_warning(
        "OTEL_PROPAGATORS=\"foo\": \"foo\" is not known; using tracecontext,baggage");
    assert_int_equal(shim_config.propagators,
                     SHIM_PROPAGATOR_TRACECONTEXT | SHIM_PROPAGATOR_BAGGAGE);
    READ("OTEL_TRACES_EXPORTER=zipkin");
    assert_one_warning("OTEL_TRACES_EXPORTER=\"zipkin\": \"zipkin\" is not supported; using otlp");
    assert_int_equal(shim_config.exporters, SHIM_EXPORTER_OTLP);
    READ("OTEL_TRACES_EXPORTER=none,otlp");
    assert_one_warning(
        "OTEL_TRACES_EXPORTER=\"none,otlp\": \"none\" stands beside others; ignored");
    assert_int_equal(shim_config.exporters, SHIM_EXPORTER_OTLP);
}

static void test_families(void **state)
{
    (void)state;
    READ("OTELSHIM_INSTRUMENTATIONS=thread");
    assert_int_equal(shim_config.families, SHIM_FAMILY_THREAD);
    READ("OTELSHIM_INSTRUMENTATIONS=-thread");
    assert_int_equal(shim_config.families, SHIM_FAMILY_CURL);
    READ("OTELSHIM_INSTRUMENTATIONS=-curl,-thread");
    assert_int_equal(shim_config.families, 0);
    READ("OTELSHIM_INSTRUMENTATIONS=curl,thread,-curl");
    assert_int_equal(shim_config.families, SHIM_FAMILY_THREAD);
    assert_warnings(0);
    READ("OTELSHIM_INSTRUMENTATIONS=-foo");
    assert_one_warning("OTELSHIM_INSTRUMENTATIONS=\"-foo\": \"-foo\" is not known; using all");
    assert_int_equal(shim_config.families, SHIM_FAMILY_CURL | SHIM_FAMILY_THREAD);
}

static void test_endpoints(void **state)
{
    static const struct {
        char *base, *traces;
        const char *endpoint;
    } cases[] = {
        {"http://h:1", "", "http://h:1/v1/traces"},
        {"http://h:1/", "", "http://h:1/v1/traces"},
        {"http://h:1/a//", "", "http://h:1/a/v1/traces"},
        {"https://h/a", "", "https://h/a/v1/traces"},
        {"http://h/a?k=v#f", "", "http://h/a/v1/traces?k=v"},
        {"http://h?k=v", "", "http://h/v1/traces?k=v"},
        {"http://[::1]:4318", "", "http://[::1]:4318/v1/traces"},
        {"http://a", "http://b:2", "http://b:2/"},
        {"http://a", "http://b:2/x", "http://b:2/x"},
        {"http://a", "http://b:2/", "http://b:2/"},
        {"http://a", "http://b?q", "http://b/?q"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char base[128], traces[128];
        snprintf(base, sizeof(base), "OTEL_EXPORTER_OTLP_ENDPOINT=%s", cases[i].base);
        snprintf(traces, sizeof(traces), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=%s", cases[i].traces);
        READ(traces, base);
        assert_warnings(0);
        assert_string_equal(shim_config.otlp_endpoint, cases[i].endpoint);
    }
    READ("OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318");
    assert_one_warning("OTEL_EXPORTER_OTLP_ENDPOINT=\"localhost:4318\" does not begin with http:// "
                       "or https://; using http://localhost:4318");
    assert_string_equal(shim_config.otlp_endpoint, "http://localhost:4318/v1/traces");
    READ("OTEL_EXPORTER_OTLP_ENDPOINT=http://h", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://");
    assert_warnings(1);
    assert_string_equal(shim_config.otlp_endpoint, "http://h/v1/traces");
}

static void test_signal_specific_wins(void **state)
{
    (void)state;
    READ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=7", "OTEL_EXPORTER_OTLP_TIMEOUT=8",
         "OTEL_EXPORTER_OTLP_HEADERS=a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=b=2",
         "OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=none",
         "OTEL_EXPORTER_OTLP_CERTIFICATE=/c", "OTEL_EXPORTER_OTLP_INSECURE=true",
         "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=/k", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/cc");
    assert_warnings(0);
    assert_int_equal(shim_config.otlp_timeout_ms, 7);
    assert_string_equal(shim_config.otlp_headers, "b=2");
    assert_int_equal(shim_config.otlp_compression, SHIM_COMPRESSION_NONE);
    assert_string_equal(shim_config.otlp_certificate, "/c");
    assert_string_equal(shim_config.otlp_client_key, "/k");
    assert_string_equal(shim_config.otlp_client_certificate, "/cc");
    assert_true(shim_config.otlp_insecure);
    READ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=x", "OTEL_EXPORTER_OTLP_TIMEOUT=8");
    assert_int_equal(shim_config.otlp_timeout_ms, 8);
    assert_one_warning("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=\"x\" is not a number of milliseconds; "
                       "using that of OTEL_EXPORTER_OTLP_TIMEOUT");
}

static void test_limit_fallbacks(void **state)
{
    (void)state;
    READ("OTEL_ATTRIBUTE_COUNT_LIMIT=9", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=10");
    assert_int_equal(shim_config.limits.attribute_count, 9);
    assert_int_equal(shim_config.limits.attribute_value_length, 10);
    READ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=7", "OTEL_ATTRIBUTE_COUNT_LIMIT=9",
         "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=0");
    assert_int_equal(shim_config.limits.attribute_count, 7);
    assert_int_equal(shim_config.limits.attribute_value_length, 0);
    assert_int_equal(shim_config.limits.event_attribute_count, 128);
}

static void test_contradictions(void **state)
{
    (void)state;
    READ("OTEL_BSP_MAX_QUEUE_SIZE=100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=200");
    assert_one_warning("OTEL_BSP_MAX_EXPORT_BATCH_SIZE is more than OTEL_BSP_MAX_QUEUE_SIZE; using "
                       "the size of the queue");
    assert_int_equal(shim_config.bsp_max_export_batch_size, 100);
    READ("OTEL_BSP_MAX_QUEUE_SIZE=100");
    assert_warnings(0);
    assert_int_equal(shim_config.bsp_max_export_batch_size, 100);
    READ("OTEL_TRACES_EXPORTER=file");
    assert_warnings(1);
    READ("OTELSHIM_STACKS_AFTER=100");
    assert_warnings(1);
    READ("OTELSHIM_STACKS_AFTER=100", "OTELSHIM_STACKS=true");
    assert_warnings(0);
    READ("OTEL_EXPORTER_OTLP_CLIENT_KEY=/k");
    assert_warnings(1);
}

/* A mistake in a list of hosts must not open it. */
static void test_hosts(void **state)
{
    (void)state;
    READ("OTELSHIM_PROPAGATE_TO=*.example.org,10.0.0.0/8", "OTELSHIM_BAGGAGE_TO=h");
    assert_warnings(0);
    assert_string_equal(shim_config.propagate_to, "*.example.org,10.0.0.0/8");
    assert_string_equal(shim_config.baggage_to, "h");
    READ("OTELSHIM_PROPAGATE_TO=10.0.0.0/99");
    assert_one_warning(
        "OTELSHIM_PROPAGATE_TO=\"10.0.0.0/99\": \"10.0.0.0/99\" is neither a host nor a "
        "network; ignored");
    assert_string_equal(shim_config.propagate_to, "10.0.0.0/99");
}

static void test_texts(void **state)
{
    char entry[] = "OTEL_SERVICE_NAME= checkout ";
    (void)state;
    READ(entry, "OTEL_SERVICE_NAME=second",
         "OTELSHIM_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS=X-Id, ETag");
    memset(entry, 'x', sizeof(entry) - 1); /* as hosts do that write over their environment */
    assert_string_equal(shim_config.service_name, " checkout ");
    assert_string_equal(shim_config.capture_request_headers, "x-id, etag");
    READ("NO_COLOR=1");
    assert_true(shim_config.no_color);
    READ("NO_COLOR=", "TERM=xterm");
    assert_false(shim_config.no_color);
    READ("TERM=dumb");
    assert_true(shim_config.no_color);
    READ("OTEL", "OTEL_", "OTEL_SERVICE_NAM=x", "OTEL_SERVICE_NAMES=x", "otel_service_name=x", "=",
         "OTEL_SERVICE_NAME");
    assert_string_equal(shim_config.service_name, "");
    assert_warnings(0);
}

static void test_texts_larger_than_set_aside(void **state)
{
    enum { LARGE = 100000 };
    char *name = malloc(LARGE + 64), *headers = malloc(LARGE + 64);
    (void)state;
    strcpy(name, "OTEL_SERVICE_NAME=");
    memset(name + strlen(name), 'n', LARGE);
    name[LARGE + strlen("OTEL_SERVICE_NAME=")] = '\0';
    strcpy(headers, "OTELSHIM_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS=");
    size_t begin = strlen(headers);
    memset(headers + begin, 'H', LARGE - begin);
    headers[LARGE] = '\0';
    READ(name, headers);
    assert_warnings(0);
    assert_int_equal(strlen(shim_config.service_name), LARGE);
    assert_int_equal(strlen(shim_config.capture_response_headers), LARGE - begin);
    assert_int_equal(shim_config.capture_response_headers[LARGE - begin - 1], 'h');
    READ("OTEL_SERVICE_NAME=small");
    assert_string_equal(shim_config.service_name, "small");
    free(name);
    free(headers);
}

static void test_warnings_are_safe_to_print(void **state)
{
    (void)state;
    READ("OTEL_BSP_SCHEDULE_DELAY=a\n\x1b[31m\xe9"
         "bcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH");
    assert_one_warning(
        "OTEL_BSP_SCHEDULE_DELAY=\"a??[31m?bcdefghijklmnopqrstuvwxyz0123456...\" is not a "
        "number of milliseconds; using 5000");
    READ("OTEL_EXPORTER_OTLP_HEADERS=authorization secret");
    assert_one_warning(
        "OTEL_EXPORTER_OTLP_HEADERS is not a list of key=value, percent-encoded; ignored");
    assert_string_equal(shim_config.otlp_headers, "");
    READ("OTEL_EXPORTER_OTLP_ENDPOINT=ftp://user:secret@h");
    assert_null(strstr(shim_config_warning(0), "secret"));
    READ("OTEL_RESOURCE_ATTRIBUTES=a=%zz");
    assert_warnings(1);
    assert_string_equal(shim_config.resource_attributes, "");
    READ("OTEL_RESOURCE_ATTRIBUTES=a=%2c,b=c=d,");
    assert_warnings(0);
    assert_string_equal(shim_config.resource_attributes, "a=%2c,b=c=d,");
}

/* One line for each variable that cannot be read, none lost. */
static void test_everything_wrong(void **state)
{
    char entries[100][80];
    char *environment[101] = {NULL};
    const struct shim_config_doc *doc;
    unsigned count = 0, lines = 0, texts = 0;
    (void)state;
    for (; (doc = shim_config_doc(count)); count++) {
        snprintf(entries[count], sizeof(entries[count]), "%s=%%bad value", doc->name);
        environment[count] = entries[count];
    }
    shim_config_read(environment);
    for (unsigned i = 0; (doc = shim_config_doc(i)); i++) {
        char begin[80];
        const char *line = shim_config_warning(lines);
        snprintf(begin, sizeof(begin), "%s=", doc->name);
        if (strstr(doc->name, "_HEADERS") && !strstr(doc->name, "CAPTURE"))
            *strchr(begin, '=') = ' ';
        if (line && strncmp(line, begin, strlen(begin)) == 0)
            lines++;
        else
            texts++;
    }
    /* What is left are free texts, where nothing can be wrong. */
    assert_int_equal(texts, 15);
    assert_warnings(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_empty_is_unset),
        cmocka_unit_test(test_table_is_sorted),
        cmocka_unit_test(test_boolean),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_enums),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_signal_specific_wins),
        cmocka_unit_test(test_limit_fallbacks),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_texts_larger_than_set_aside),
        cmocka_unit_test(test_warnings_are_safe_to_print),
        cmocka_unit_test(test_everything_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
