/* The OTLP sink against a real server: the request is decoded by protobuf-c, and each answer must
 * end in the right counter and a line that helps. */
#include "export/exporter.h"
#include "export/sink.h"

#include "base/version.h"
#include "http_server.h"
#include "record_build.h"
#include "test_cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SCHEMA       "https://opentelemetry.io/schemas/1.44.0"

struct rig {
    struct http_server *server;
    struct shim_sink *sink;
    struct shim_config config;
    struct shim_resource resource;
    struct shim_counters counters;
    _Atomic uint32_t phase;
    struct shim_sink_environment environment;
    struct records records;
    struct shim_sink_result result;
    char endpoint[128];
    char where[128];
};

static void rig_start(struct rig *rig, const struct http_step *steps, unsigned count,
                      enum shim_compression compression)
{
    char message[256] = "";
    memset(rig, 0, sizeof(*rig));
    rig->server = http_server_start(steps, count);
    snprintf(rig->endpoint, sizeof(rig->endpoint), "http://user:secret@127.0.0.1:%u/v1/traces",
             http_server_port(rig->server));
    snprintf(rig->where, sizeof(rig->where),
             "collector http://REDACTED:REDACTED@127.0.0.1:%u/v1/traces",
             http_server_port(rig->server));
    rig->config = (struct shim_config){
        .otlp_endpoint = rig->endpoint,
        .otlp_headers = "",
        .otlp_compression = compression,
        .otlp_certificate = "",
        .otlp_client_key = "",
        .otlp_client_certificate = "",
    };
    rig->resource = (struct shim_resource){
        .count = 3,
        .attribute = {{.key = "service.name", .text = "shop"},
                      {.key = "process.pid", .number = 4711},
                      {.key = "process.command_args", .text = "shop\0-v\0", .items = 2}},
    };
    rig->environment = (struct shim_sink_environment){
        .config = &rig->config,
        .resource = &rig->resource,
        .counters = &rig->counters,
        .phase = &rig->phase,
    };
    rig->sink = shim_sink_otlp_new(&rig->environment, message);
    assert_non_null(rig->sink);
    assert_string_equal(message, "");
    for (uint8_t i = 1; i <= 3; i++) {
        struct span_spec spec = {
            .trace = 7, .id = i, .name = "span", .kind = 3, .attributes = {"key", "value"}};
        records_add_spec(&rig->records, &spec);
    }
}

static void rig_stop(struct rig *rig)
{
    rig->sink->free(rig->sink);
    http_server_stop(rig->server);
    http_server_free(rig->server);
    records_fini(&rig->records);
}

static void send_batch(struct rig *rig)
{
    struct shim_batch batch = records_batch(&rig->records);
    memset(&rig->result, 0xee, sizeof(rig->result));
    rig->sink->send(rig->sink, &batch, &rig->result);
    assert_int_equal(rig->result.exported + rig->result.rejected + rig->result.dropped, 3);
    assert_int_equal(rig->phase, SHIM_EXPORT_IDLE);
}

static void check_request(const void *data, size_t len, size_t spans)
{
    Otlp__ExportTraceServiceRequest *request =
        otlp__export_trace_service_request__unpack(NULL, len, data);
    assert_non_null(request);
    assert_int_equal(request->n_resource_spans, 1);
    const Otlp__ResourceSpans *outer = request->resource_spans[0];
    assert_string_equal(outer->schema_url, SCHEMA);
    assert_int_equal(outer->resource->n_attributes, 3);
    assert_string_equal(outer->resource->attributes[0]->key, "service.name");
    assert_string_equal(outer->resource->attributes[0]->value->string_value, "shop");
    assert_string_equal(outer->resource->attributes[1]->key, "process.pid");
    assert_int_equal(outer->resource->attributes[1]->value->value_case,
                     OTLP__ANY_VALUE__VALUE_INT_VALUE);
    assert_int_equal(outer->resource->attributes[1]->value->int_value, 4711);
    const Otlp__ArrayValue *args = outer->resource->attributes[2]->value->array_value;
    assert_int_equal(args->n_values, 2);
    assert_string_equal(args->values[0]->string_value, "shop");
    assert_string_equal(args->values[1]->string_value, "-v");
    assert_int_equal(outer->n_scope_spans, 1);
    const Otlp__ScopeSpans *inner = outer->scope_spans[0];
    assert_string_equal(inner->scope->name, "otelshim");
    assert_string_equal(inner->scope->version, SHIM_VERSION);
    assert_string_equal(inner->schema_url, SCHEMA);
    assert_int_equal(inner->n_spans, spans);
    for (size_t i = 0; i < spans; i++) {
        assert_string_equal(inner->spans[i]->name, "span");
        assert_int_equal(inner->spans[i]->span_id.data[0], 1 + i % 3);
        assert_string_equal(inner->spans[i]->attributes[0]->value->string_value, "value");
    }
    otlp__export_trace_service_request__free_unpacked(request, NULL);
}

static void the_request_decodes(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps), SHIM_COMPRESSION_NONE);
    for (int i = 0; i < 2; i++) {
        send_batch(&rig);
        assert_int_equal(rig.result.exported, 3);
        assert_string_equal(rig.result.message, "");
    }
    /* A batch of many pieces, of more than two bytes of length. */
    enum { PIECES = 500 };
    struct shim_batch_piece piece[PIECES];
    for (unsigned i = 0; i < PIECES; i++)
        piece[i] = (struct shim_batch_piece){rig.records.data, rig.records.len};
    struct shim_batch large = {piece, PIECES, PIECES * rig.records.len, PIECES * 3};
    rig.sink->send(rig.sink, &large, &rig.result);
    assert_int_equal(rig.result.exported, PIECES * 3);
    send_batch(&rig);
    assert_int_equal(shim_counted(&rig.counters, SHIM_COUNTER_EXPORT_REQUESTS), 4);
    assert_int_equal(http_server_requests(rig.server), 4);
    for (unsigned i = 0; i < 4; i++) {
        const struct http_request *request = http_server_request(rig.server, i);
        check_request(request->body, request->body_len, i == 2 ? PIECES * 3 : 3);
        assert_int_equal(request->connection, 1);
        assert_non_null(strstr(request->head, "POST /v1/traces HTTP/1.1\r\n"));
        assert_non_null(strstr(request->head, "\r\nContent-Type: application/x-protobuf\r\n"));
    }
    rig_stop(&rig);
}

static void nothing_is_sent_for_nothing(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps), SHIM_COMPRESSION_NONE);
    rig.sink->send(rig.sink, &(struct shim_batch){0}, &rig.result);
    assert_int_equal(rig.result.exported + rig.result.rejected + rig.result.dropped, 0);
    assert_int_equal(shim_counted(&rig.counters, SHIM_COUNTER_EXPORT_REQUESTS), 0);
    rig_stop(&rig);
}

static void gzip_round_trip(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps), SHIM_COMPRESSION_GZIP);
    send_batch(&rig);
    send_batch(&rig);
    for (unsigned i = 0; i < 2; i++) {
        const struct http_request *request = http_server_request(rig.server, i);
        assert_non_null(strstr(request->head, "\r\nContent-Encoding: gzip\r\n"));
        Bytef plain[4096];
        z_stream stream = {.next_in = (Bytef *)request->body,
                           .avail_in = (uInt)request->body_len,
                           .next_out = plain,
                           .avail_out = sizeof(plain)};
        assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        assert_int_equal(stream.avail_in, 0);
        check_request(plain, stream.total_out, 3);
        assert_true(request->body_len < stream.total_out);
        inflateEnd(&stream);
    }
    rig_stop(&rig);
}

/* An answer with a body that protobuf-c encodes. */
static char *answer_make(int status, const char *type, const uint8_t *body, size_t len,
                         size_t *ret_len)
{
    char *text = malloc(256 + len);
    assert_non_null(text);
    int head =
        snprintf(text, 256, "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                 status, type, len);
    memcpy(text + head, body, len);
    *ret_len = (size_t)head + len;
    return text;
}

static char *partial_make(int64_t rejected, const char *message, size_t *ret_len)
{
    Otlp__ExportTracePartialSuccess partial = OTLP__EXPORT_TRACE_PARTIAL_SUCCESS__INIT;
    Otlp__ExportTraceServiceResponse response = OTLP__EXPORT_TRACE_SERVICE_RESPONSE__INIT;
    uint8_t body[256];
    partial.rejected_spans = rejected;
    partial.error_message = (char *)message;
    response.partial_success = &partial;
    size_t len = otlp__export_trace_service_response__pack(&response, body);
    return answer_make(200, "application/x-protobuf", body, len, ret_len);
}

static void partial_success(void **state)
{
    (void)state;
    static const struct {
        int64_t rejected;
        const char *message;
        uint32_t counted;
        const char *said;
    } cases[] = {
        {2, "bad\nids \xc3\xa9", 2, " rejected 2 of 3 spans (bad ids   )"},
        {1, "", 1, " rejected 1 of 3 spans (no reason given)"},
        {1000, "more than there were", 3, " rejected 3 of 3 spans (more than there were)"},
        {-5, "", 0, ""},
        {0, "deprecated", 0, " rejected 0 of 3 spans (deprecated)"},
        {0, "", 0, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_step step = {0};
        struct rig rig;
        char expected[512] = "", *answer;
        answer = partial_make(cases[i].rejected, cases[i].message, &step.answer_len);
        step.answer = answer;
        rig_start(&rig, &step, 1, SHIM_COMPRESSION_NONE);
        send_batch(&rig);
        assert_int_equal(rig.result.rejected, cases[i].counted);
        assert_int_equal(rig.result.exported, 3 - cases[i].counted);
        if (cases[i].said[0])
            snprintf(expected, sizeof(expected), "%s%s", rig.where, cases[i].said);
        assert_string_equal(rig.result.message, expected);
        rig_stop(&rig);
        free(answer);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const int statuses[] = {301, 400, 401, 404, 413, 429, 500, 502, 503, 504};
    for (size_t i = 0; i < COUNT(statuses); i++) {
        struct http_step step = {0};
        struct rig rig;
        char expected[512], *answer;
        answer = answer_make(statuses[i], "text/plain", (const uint8_t *)"go\r\naway", 8,
                             &step.answer_len);
        step.answer = answer;
        rig_start(&rig, &step, 1, SHIM_COMPRESSION_NONE);
        send_batch(&rig);
        assert_int_equal(rig.result.dropped, 3);
        assert_int_equal(rig.result.drop_reason, SHIM_COUNTER_DROPPED_REFUSED);
        snprintf(expected, sizeof(expected), "%s answered %d (go  away)", rig.where, statuses[i]);
        assert_string_equal(rig.result.message, expected);
        assert_int_equal(http_server_requests(rig.server), 1);
        rig_stop(&rig);
        free(answer);
    }
}

static void a_refusal_in_protobuf(void **state)
{
    (void)state;
    Otlp__RpcStatus status = OTLP__RPC_STATUS__INIT;
    uint8_t body[256];
    struct http_step step = {0};
    struct rig rig;
    char expected[512];
    status.code = 3;
    status.message = (char *)"trace id of 15 bytes";
    size_t len = otlp__rpc_status__pack(&status, body);
    char *answer = answer_make(400, "application/x-protobuf", body, len, &step.answer_len);
    step.answer = answer;
    rig_start(&rig, &step, 1, SHIM_COMPRESSION_NONE);
    send_batch(&rig);
    assert_int_equal(rig.result.dropped, 3);
    snprintf(expected, sizeof(expected), "%s answered 400 (trace id of 15 bytes)", rig.where);
    assert_string_equal(rig.result.message, expected);
    rig_stop(&rig);
    free(answer);
}

/* A 200 means that the spans were taken, whatever comes with it. */
static void unreadable_success(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *body;
    } cases[] = {{"text/html; charset=utf-8", "<html>Welcome</html>"},
                 {"application/x-protobuf", "\xff\xff\xff\xff"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_step step = {0};
        struct rig rig;
        char *answer = answer_make(200, cases[i].type, (const uint8_t *)cases[i].body,
                                   strlen(cases[i].body), &step.answer_len);
        step.answer = answer;
        rig_start(&rig, &step, 1, SHIM_COMPRESSION_NONE);
        send_batch(&rig);
        assert_int_equal(rig.result.exported, 3);
        assert_non_null(strstr(rig.result.message, "no OTLP answer"));
        assert_non_null(strstr(rig.result.message, cases[i].type));
        rig_stop(&rig);
        free(answer);
    }
}

static void a_broken_answer(void **state)
{
    (void)state;
    static const struct http_step steps[] = {{.answer = "I am no web server\r\n", .hang = true},
                                             {.close = true}};
    struct rig rig;
    char expected[512];
    rig_start(&rig, steps, COUNT(steps), SHIM_COMPRESSION_NONE);
    send_batch(&rig);
    assert_int_equal(rig.result.dropped, 3);
    assert_int_equal(rig.result.drop_reason, SHIM_COUNTER_DROPPED_BAD_RESPONSE);
    snprintf(expected, sizeof(expected), "%s: the answer is not HTTP/1", rig.where);
    assert_string_equal(rig.result.message, expected);
    send_batch(&rig);
    assert_int_equal(rig.result.drop_reason, SHIM_COUNTER_DROPPED_BAD_RESPONSE);
    assert_non_null(strstr(rig.result.message, ": connection closed without an answer"));
    rig_stop(&rig);
}

static void limits_of_time(void **state)
{
    (void)state;
    static const struct {
        uint32_t otlp_ms;
        uint32_t bsp_ms;
    } cases[] = {{50, 0}, {0, 50}, {50, 3600000}, {3600000, 50}};
    static const struct http_step steps[] = {{.hang = true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rig rig;
        rig_start(&rig, steps, COUNT(steps), SHIM_COMPRESSION_NONE);
        rig.config.otlp_timeout_ms = cases[i].otlp_ms;
        rig.config.bsp_export_timeout_ms = cases[i].bsp_ms;
        send_batch(&rig);
        assert_int_equal(rig.result.dropped, 3);
        assert_int_equal(rig.result.drop_reason, SHIM_COUNTER_DROPPED_TIMEOUT);
        rig_stop(&rig);
    }
}

static void nobody_there(void **state)
{
    (void)state;
    static const struct http_step steps[] = {{.close = true}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps), SHIM_COMPRESSION_NONE);
    http_server_stop(rig.server);
    send_batch(&rig);
    assert_int_equal(rig.result.dropped, 3);
    assert_int_equal(rig.result.drop_reason, SHIM_COUNTER_DROPPED_UNREACHABLE);
    assert_non_null(strstr(rig.result.message, ": no connection: Connection refused"));
    rig.sink->free(rig.sink);
    http_server_free(rig.server);
    records_fini(&rig.records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_decodes),
        cmocka_unit_test(nothing_is_sent_for_nothing),
        cmocka_unit_test(gzip_round_trip),
        cmocka_unit_test(partial_success),
        cmocka_unit_test(refusals),
        cmocka_unit_test(a_refusal_in_protobuf),
        cmocka_unit_test(unreadable_success),
        cmocka_unit_test(a_broken_answer),
        cmocka_unit_test(limits_of_time),
        cmocka_unit_test(nobody_there),
    };
    /* A proxy of whoever runs the tests is no part of them. */
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
