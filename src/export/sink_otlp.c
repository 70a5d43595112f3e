/* OTLP over HTTP (OTLP 1.11, binary protobuf): puts the envelope around a batch's records, sends
 * it, and reads what the collector says. The records go out as they lie in memory; the envelope is
 * encoded once, a batch changes two lengths in it. Knows no socket (transport.h). Exporter thread
 * only. */
#include "base/clock.h"
#include "base/url.h"
#include "base/version.h"
#include "export/gzip.h"
#include "export/proxy.h"
#include "export/sink.h"
#include "export/transport.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char SCHEMA_URL[] = "https://opentelemetry.io/schemas/1.44.0";

/* The envelope, up to the first record:
 *   resource_spans, length 1 { resource, schema_url, scope_spans, length 2 { scope, schema_url,
 * Lengths take four bytes each whatever their value, so that the text in front never moves. */
#define TAG_RESOURCE_SPANS 0x0a
#define TAG_SCOPE_SPANS    0x12
#define LENGTH_SIZE        4u
#define LENGTH_MAX         ((1u << 28) - 1)

struct otlp_sink {
    struct shim_sink sink;
    const struct shim_sink_environment *environment;
    struct shim_transport *transport;
    struct shim_gzip *gzip; /* NULL: not compressed */
    char endpoint[80];      /* for messages: no credentials */

    uint8_t *envelope;
    size_t envelope_len;
    size_t scope_spans_at; /* where its length stands */

    struct iovec *iov;
    unsigned iov_cap;
};

/* What is to be done after an answer (OTLP specification, "OTLP/HTTP Response"). */
enum verdict {
    VERDICT_TAKEN,
    VERDICT_LATER, /* the same request may succeed later */
    VERDICT_NEVER,
};

static enum verdict verdict_of(int status)
{
    if (status >= 200 && status < 300)
        return VERDICT_TAKEN;
    if (status == 429 || status == 502 || status == 503 || status == 504)
        return VERDICT_LATER;
    return VERDICT_NEVER;
}

/* ---- the request ---- */

static void length_write(uint8_t *dst, size_t value)
{
    for (unsigned i = 0; i < LENGTH_SIZE; i++)
        dst[i] = (uint8_t)((value >> (7 * i) & 0x7f) | (i + 1 < LENGTH_SIZE ? 0x80 : 0));
}

/* An attribute that is a list of texts, which stand one behind the other. */
struct text_list {
    Otlp__ArrayValue array;
    Otlp__AnyValue *value;
    Otlp__AnyValue **pointer;
};

static void text_list_init(struct text_list *list, const struct shim_resource_attribute *attribute)
{
    const char *text = attribute->text;

    otlp__array_value__init(&list->array);
    list->value = calloc(attribute->items, sizeof(*list->value));
    list->pointer = calloc(attribute->items, sizeof(Otlp__AnyValue *));
    if (!list->value || !list->pointer)
        return;
    for (unsigned i = 0; i < attribute->items; i++) {
        otlp__any_value__init(&list->value[i]);
        list->value[i].value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
        list->value[i].string_value = (char *)text;
        list->pointer[i] = &list->value[i];
        text += strlen(text) + 1;
    }
    list->array.values = list->pointer;
    list->array.n_values = attribute->items;
}

static void text_list_fini(struct text_list *list)
{
    free(list->value);
    free(list->pointer);
}

/* `list` is filled for an attribute that is one. A list without memory is left empty. */
static void key_value_init(const struct shim_resource_attribute *attribute,
                           Otlp__KeyValue *ret_pair, Otlp__AnyValue *ret_value,
                           struct text_list *list)
{
    otlp__any_value__init(ret_value);
    if (attribute->text && attribute->items > 0) {
        text_list_init(list, attribute);
        ret_value->value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
        ret_value->array_value = &list->array;
    } else if (attribute->text) {
        ret_value->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
        ret_value->string_value = (char *)attribute->text;
    } else {
        ret_value->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
        ret_value->int_value = attribute->number;
    }
    otlp__key_value__init(ret_pair);
    ret_pair->key = (char *)attribute->key;
    ret_pair->value = ret_value;
}

static int envelope_encode(struct otlp_sink *self, const Otlp__ResourceSpans *outer,
                           const Otlp__ScopeSpans *inner)
{
    size_t outer_len = otlp__resource_spans__get_packed_size(outer);
    size_t inner_len = otlp__scope_spans__get_packed_size(inner);
    self->scope_spans_at = 1 + LENGTH_SIZE + outer_len + 1;
    self->envelope_len = self->scope_spans_at + LENGTH_SIZE + inner_len;
    self->envelope = malloc(self->envelope_len);
    if (!self->envelope)
        return -ENOMEM;
    self->envelope[0] = TAG_RESOURCE_SPANS;
    otlp__resource_spans__pack(outer, self->envelope + 1 + LENGTH_SIZE);
    self->envelope[self->scope_spans_at - 1] = TAG_SCOPE_SPANS;
    otlp__scope_spans__pack(inner, self->envelope + self->scope_spans_at + LENGTH_SIZE);
    return 0;
}

static int envelope_build(struct otlp_sink *self, const struct shim_resource *resource)
{
    Otlp__KeyValue pair[SHIM_RESOURCE_MAX], *attribute[SHIM_RESOURCE_MAX];
    Otlp__AnyValue value[SHIM_RESOURCE_MAX];
    struct text_list list[SHIM_RESOURCE_MAX] = {0};
    Otlp__Resource encoded = OTLP__RESOURCE__INIT;
    Otlp__InstrumentationScope scope = OTLP__INSTRUMENTATION_SCOPE__INIT;
    Otlp__ResourceSpans outer = OTLP__RESOURCE_SPANS__INIT;
    Otlp__ScopeSpans inner = OTLP__SCOPE_SPANS__INIT;

    for (unsigned i = 0; i < resource->count; i++) {
        key_value_init(&resource->attribute[i], &pair[i], &value[i], &list[i]);
        attribute[i] = &pair[i];
    }
    encoded.attributes = attribute;
    encoded.n_attributes = resource->count;
    scope.name = (char *)SHIM_NAME;
    scope.version = (char *)SHIM_VERSION;
    outer.resource = &encoded;
    outer.schema_url = (char *)SCHEMA_URL;
    inner.scope = &scope;
    inner.schema_url = (char *)SCHEMA_URL;
    int error = envelope_encode(self, &outer, &inner);
    for (unsigned i = 0; i < resource->count; i++)
        text_list_fini(&list[i]);
    return error;
}

static void envelope_patch(struct otlp_sink *self, size_t records)
{
    size_t inner = self->envelope_len - self->scope_spans_at - LENGTH_SIZE + records;
    size_t outer = self->envelope_len - 1 - LENGTH_SIZE + records;
    length_write(self->envelope + self->scope_spans_at, inner);
    length_write(self->envelope + 1, outer);
}

static int pieces_reserve(struct otlp_sink *self, unsigned count)
{
    if (count <= self->iov_cap)
        return 0;
    struct iovec *more = realloc(self->iov, count * sizeof(*more));
    if (!more)
        return -ENOMEM;
    self->iov = more;
    self->iov_cap = count;
    return 0;
}

static uint64_t deadline_of(const struct shim_config *config)
{
    uint64_t limit_ms = config->otlp_timeout_ms;
    uint64_t batch_ms = config->bsp_export_timeout_ms;
    if (limit_ms == 0 || (batch_ms != 0 && batch_ms < limit_ms))
        limit_ms = batch_ms;
    return limit_ms ? shim_clock_now() + limit_ms * 1000000 : UINT64_MAX;
}

static int request_build(struct otlp_sink *self, const struct shim_batch *batch,
                         struct shim_post *ret_post)
{
    if (batch->bytes > LENGTH_MAX - self->envelope_len)
        return -E2BIG;
    if (pieces_reserve(self, batch->piece_count + 1) < 0)
        return -ENOMEM;
    envelope_patch(self, batch->bytes);
    self->iov[0] = (struct iovec){self->envelope, self->envelope_len};
    for (unsigned i = 0; i < batch->piece_count; i++)
        self->iov[i + 1] = (struct iovec){(void *)batch->piece[i].data, batch->piece[i].len};
    *ret_post = (struct shim_post){
        .body = self->iov,
        .body_count = batch->piece_count + 1,
        .body_len = self->envelope_len + batch->bytes,
        .content_type = "application/x-protobuf",
        .deadline_ns = deadline_of(self->environment->config),
    };
    struct iovec packed;
    /* Where memory for compression is short, the request goes out as it is. */
    if (self->gzip && shim_gzip_deflate(self->gzip, self->iov, ret_post->body_count,
                                        ret_post->body_len, &packed) == 0) {
        self->iov[0] = packed;
        ret_post->body_count = 1;
        ret_post->body_len = packed.iov_len;
        ret_post->content_encoding = "gzip";
    }
    return 0;
}

/* ---- the answer ---- */

/* What a collector wrote, for a log: one line of printable ASCII. */
static void text_clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = ' ';
}

static bool is_protobuf(const struct shim_post_result *answer)
{
    return shim_str_starts_nocase(shim_str(answer->content_type),
                                  shim_str("application/x-protobuf"));
}

/* The reason in an error answer: a google.rpc.Status, or the beginning of whatever else there is.
 */
static void reason_read(const struct shim_post_result *answer, char *ret_text, size_t cap)
{
    if (!is_protobuf(answer)) {
        int len = answer->body_len < cap ? (int)answer->body_len : (int)cap - 1;
        snprintf(ret_text, cap, "%.*s", len, answer->body_len > 0 ? answer->body : "");
    } else {
        Otlp__RpcStatus *status =
            otlp__rpc_status__unpack(NULL, answer->body_len, (const uint8_t *)answer->body);
        snprintf(ret_text, cap, "%s", status ? status->message : "");
        if (status)
            otlp__rpc_status__free_unpacked(status, NULL);
    }
    text_clean(ret_text);
}

/* A 2xx: the spans are the collector's now, whether we can read its answer or not. */
static void success_read(const struct otlp_sink *self, const struct shim_post_result *answer,
                         uint32_t spans, struct shim_sink_result *ret_result)
{
    ret_result->exported = spans;
    if (answer->body_len == 0)
        return;
    Otlp__ExportTraceServiceResponse *response = NULL;
    if (is_protobuf(answer))
        response = otlp__export_trace_service_response__unpack(NULL, answer->body_len,
                                                               (const uint8_t *)answer->body);
    if (!response) {
        snprintf(
            ret_result->message, sizeof(ret_result->message),
            "collector %s answered %d with what is no OTLP answer (%.40s, %zu bytes): is it one?",
            self->endpoint, answer->status,
            answer->content_type[0] ? answer->content_type : "no content type", answer->body_len);
        text_clean(ret_result->message);
        return;
    }
    const Otlp__ExportTracePartialSuccess *partial = response->partial_success;
    if (partial && (partial->rejected_spans > 0 || partial->error_message[0])) {
        uint64_t rejected = partial->rejected_spans > 0 ? (uint64_t)partial->rejected_spans : 0;
        ret_result->rejected = rejected < spans ? (uint32_t)rejected : spans;
        ret_result->exported = spans - ret_result->rejected;
        snprintf(ret_result->message, sizeof(ret_result->message),
                 "collector %s rejected %u of %u spans (%s)", self->endpoint, ret_result->rejected,
                 spans, partial->error_message[0] ? partial->error_message : "no reason given");
        text_clean(ret_result->message);
    }
    otlp__export_trace_service_response__free_unpacked(response, NULL);
}

static void result_drop(struct shim_sink_result *result, uint32_t spans, enum shim_counter reason)
{
    result->dropped = spans;
    result->drop_reason = reason;
}

static void answer_read(const struct otlp_sink *self, const struct shim_post_result *answer,
                        uint32_t spans, struct shim_sink_result *ret_result)
{
    char reason[100];
    switch (verdict_of(answer->status)) {
    case VERDICT_TAKEN:
        success_read(self, answer, spans, ret_result);
        return;
    case VERDICT_LATER: /* this is where a retry begins: answer->retry_after says when */
    case VERDICT_NEVER:
        result_drop(ret_result, spans, SHIM_COUNTER_DROPPED_REFUSED);
        reason_read(answer, reason, sizeof(reason));
        snprintf(ret_result->message, sizeof(ret_result->message), "collector %s answered %d%s%s%s",
                 self->endpoint, answer->status, reason[0] ? " (" : "", reason,
                 reason[0] ? ")" : "");
    }
}

static void failure_read(const struct otlp_sink *self, const struct shim_post_result *answer,
                         uint32_t spans, struct shim_sink_result *ret_result)
{
    enum shim_counter reason = SHIM_COUNTER_DROPPED_BAD_RESPONSE;
    if (answer->outcome == SHIM_POST_UNREACHABLE)
        reason = SHIM_COUNTER_DROPPED_UNREACHABLE;
    else if (answer->outcome == SHIM_POST_TIMEOUT)
        reason = SHIM_COUNTER_DROPPED_TIMEOUT;
    result_drop(ret_result, spans, reason);
    snprintf(ret_result->message, sizeof(ret_result->message), "collector %s: %.150s",
             self->endpoint, answer->message);
    text_clean(ret_result->message);
}

/* ---- the sink ---- */

static void otlp_send(struct shim_sink *sink, const struct shim_batch *batch,
                      struct shim_sink_result *ret_result)
{
    struct otlp_sink *self = (struct otlp_sink *)sink;
    struct shim_post post;
    struct shim_post_result answer;
    memset(ret_result, 0, sizeof(*ret_result));
    if (batch->spans == 0)
        return;
    if (request_build(self, batch, &post) < 0) {
        result_drop(ret_result, batch->spans, SHIM_COUNTER_DROPPED_QUEUE_FULL);
        snprintf(ret_result->message, sizeof(ret_result->message),
                 "no memory for a request of %u spans", batch->spans);
        return;
    }
    shim_count(self->environment->counters, SHIM_COUNTER_EXPORT_REQUESTS, 1);
    self->transport->post(self->transport, &post, &answer);
    if (answer.outcome == SHIM_POST_ANSWERED)
        answer_read(self, &answer, batch->spans, ret_result);
    else
        failure_read(self, &answer, batch->spans, ret_result);
}

static void otlp_free(struct shim_sink *sink)
{
    struct otlp_sink *self = (struct otlp_sink *)sink;
    if (self->transport)
        self->transport->free(self->transport);
    shim_gzip_free(self->gzip);
    free(self->envelope);
    free(self->iov);
    free(self);
}

static struct shim_transport *transport_new(const struct shim_sink_environment *environment,
                                            const struct shim_url *url, char *ret_message)
{
    const struct shim_config *config = environment->config;
    if (shim_str_equal_nocase(url->scheme, shim_str("http")) && !shim_proxy_applies(url))
        return shim_transport_plain_new(config, environment->phase, ret_message);
    struct shim_transport *transport =
        shim_transport_curl_new(config, environment->phase, ret_message);
    /* What came with libcurl may tear itself down at exit while this thread is at work in it. */
    if (transport && environment->wait_at_exit)
        environment->wait_at_exit();
    return transport;
}

struct shim_sink *shim_sink_otlp_new(const struct shim_sink_environment *environment,
                                     char *ret_message)
{
    const struct shim_config *config = environment->config;
    struct shim_str endpoint = shim_str(config->otlp_endpoint);
    struct shim_url url;
    ret_message[0] = '\0';
    if (shim_url_parse(endpoint, &url) < 0) {
        snprintf(ret_message, 256, "OTLP endpoint: not a URL");
        return NULL;
    }
    struct otlp_sink *self = calloc(1, sizeof(*self));
    if (!self) {
        snprintf(ret_message, 256, "no memory for the OTLP exporter");
        return NULL;
    }
    self->sink = (struct shim_sink){"otlp", otlp_send, NULL, otlp_free};
    self->environment = environment;
    self->endpoint[shim_url_redact(self->endpoint, sizeof(self->endpoint) - 1, endpoint, &url,
                                   shim_str("http"), shim_str(""))] = '\0';
    self->transport = transport_new(environment, &url, ret_message);
    if (self->transport && config->otlp_compression == SHIM_COMPRESSION_GZIP)
        self->gzip = shim_gzip_new();
    if (self->transport && envelope_build(self, environment->resource) < 0)
        snprintf(ret_message, 256, "no memory for the OTLP exporter");
    if (!self->envelope) {
        otlp_free(&self->sink);
        return NULL;
    }
    return &self->sink;
}
