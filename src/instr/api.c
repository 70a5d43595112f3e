/* The optional interface (include/otelshim/otelshim.h): spans, contexts and baggage by the
 * program's own word. Knows no library. The host's threads; errno is kept. */
#include "base/hex.h"
#include "config/config.h"
#include "trace/propagator.h"
#include "trace/recorder.h"
#include "trace/span.h"

#include <errno.h>
#include <stdlib.h>

#include <otelshim/otelshim.h>

#define API(ret) __attribute__((visibility("default"))) ret

struct otelshim_context {
    struct shim_context context;
};

static bool is_off(void)
{
    return shim_config.disabled || !shim_recorder.start_exporter;
}

/* What is current for the host; the caller's frame lies above ours, which is all that scopes ask.
 */
static const struct shim_context *current(void)
{
    return shim_thread_current(shim_thread_tls, SHIM_FRAME());
}

static uint64_t handle_of(struct shim_span_ref ref)
{
    return (uint64_t)ref.slot << 32 | ref.generation;
}

static struct shim_span_ref ref_of(struct otelshim_span span)
{
    return (struct shim_span_ref){(uint32_t)(span.handle >> 32), (uint32_t)span.handle};
}

API(int) otelshim_do_trace_id(char text[OTELSHIM_TRACE_ID_SIZE])
{
    const struct shim_context *context = current();
    bool valid = shim_context_is_valid(context);
    if (valid)
        shim_hex_encode(text, context->span.trace_id, sizeof(context->span.trace_id));
    text[valid ? OTELSHIM_TRACE_ID_SIZE - 1 : 0] = '\0';
    return valid;
}

API(int) otelshim_do_span_id(char text[OTELSHIM_SPAN_ID_SIZE])
{
    const struct shim_context *context = current();
    bool valid = shim_context_is_valid(context);
    if (valid)
        shim_hex_encode(text, context->span.span_id, sizeof(context->span.span_id));
    text[valid ? OTELSHIM_SPAN_ID_SIZE - 1 : 0] = '\0';
    return valid;
}

API(int) otelshim_do_traceparent(char text[OTELSHIM_TRACEPARENT_SIZE])
{
    const struct shim_context *context = current();
    bool valid = shim_context_is_valid(context);
    if (valid)
        shim_traceparent_format(text, &context->span);
    text[valid ? SHIM_TRACEPARENT_LEN : 0] = '\0';
    return valid;
}

API(struct otelshim_span) otelshim_do_span_start(const char *name, enum otelshim_kind kind)
{
    struct otelshim_span started = {0};
    int saved_errno = errno;
    struct shim_thread *thread = is_off() || shim_config.sdk_disabled ? NULL : shim_thread_self();
    if (thread) {
        bool known = kind >= OTELSHIM_INTERNAL && kind <= OTELSHIM_CONSUMER;
        struct shim_context context;
        struct shim_span *span =
            shim_span_start(thread, known ? (enum shim_span_kind)kind : SHIM_SPAN_INTERNAL,
                            shim_str(name), shim_thread_current(thread, SHIM_FRAME()), &context);
        if (span) {
            started.handle = handle_of(context.live);
            shim_thread_enter(thread, NULL, &context);
        }
        shim_context_fini(&context);
    }
    errno = saved_errno;
    return started;
}

/* Ends the scope that the span opened in this thread, if this is the thread. */
static void leave_scope(struct shim_thread *thread, struct shim_span_ref ref)
{
    for (unsigned depth = thread->depth; depth > 0; depth--)
        if (handle_of(thread->scope[depth - 1].context.live) == handle_of(ref)) {
            shim_thread_leave(thread, depth);
            return;
        }
}

API(void) otelshim_do_span_end(struct otelshim_span given)
{
    int saved_errno = errno;
    struct shim_span_ref ref = ref_of(given);
    struct shim_thread *thread = given.handle ? shim_thread_self() : NULL;
    if (thread) {
        leave_scope(thread, ref);
        shim_span_end_ref(thread, ref);
    }
    errno = saved_errno;
}

API(struct otelshim_span) otelshim_do_span_current(void)
{
    struct shim_span_ref ref = current()->live;
    struct otelshim_span span = {0};
    if (!shim_span_ref_has_ended(ref))
        span.handle = handle_of(ref);
    return span;
}

/* The span, held, without an older attribute of that key. NULL: it is not recording (any more). */
static struct shim_span *hold_for(struct otelshim_span span, const char *key)
{
    struct shim_span *held = span.handle && key ? shim_span_hold(ref_of(span)) : NULL;
    if (held)
        shim_span_remove_attribute(held, shim_str(key));
    return held;
}

API(void) otelshim_do_span_set_string(struct otelshim_span span, const char *key, const char *value)
{
    struct shim_span *held = hold_for(span, key);
    if (!held)
        return;
    shim_span_add_str_n(held, key, strlen(key), shim_str(value));
    shim_span_release(held);
}

API(void) otelshim_do_span_set_int(struct otelshim_span span, const char *key, int64_t value)
{
    struct shim_span *held = hold_for(span, key);
    if (!held)
        return;
    shim_span_add_int_n(held, key, strlen(key), value);
    shim_span_release(held);
}

API(void) otelshim_do_span_set_double(struct otelshim_span span, const char *key, double value)
{
    struct shim_span *held = hold_for(span, key);
    if (!held)
        return;
    shim_span_add_double_n(held, key, strlen(key), value);
    shim_span_release(held);
}

API(void) otelshim_do_span_set_bool(struct otelshim_span span, const char *key, int value)
{
    struct shim_span *held = hold_for(span, key);
    if (!held)
        return;
    shim_span_add_bool_n(held, key, strlen(key), value != 0);
    shim_span_release(held);
}

API(void) otelshim_do_span_add_event(struct otelshim_span span, const char *name)
{
    struct shim_span *held = span.handle ? shim_span_hold(ref_of(span)) : NULL;
    if (!held)
        return;
    shim_span_add_event(held, shim_str(name), shim_span_now());
    shim_span_release(held);
}

API(void) otelshim_do_span_set_error(struct otelshim_span span, const char *description)
{
    struct shim_span *held = span.handle ? shim_span_hold(ref_of(span)) : NULL;
    if (!held)
        return;
    shim_span_set_status(held, SHIM_STATUS_ERROR, shim_str(description));
    shim_span_release(held);
}

API(struct otelshim_context *) otelshim_do_context_capture(void)
{
    const struct shim_context *context = current();
    if (!shim_context_is_valid(context) && !context->carried)
        return NULL;
    int saved_errno = errno;
    struct otelshim_context *captured = malloc(sizeof(*captured));
    if (captured)
        shim_context_copy(&captured->context, context);
    errno = saved_errno;
    return captured;
}

API(void) otelshim_do_context_free(struct otelshim_context *context)
{
    if (!context)
        return;
    int saved_errno = errno;
    shim_context_fini(&context->context);
    free(context);
    errno = saved_errno;
}

API(unsigned) otelshim_do_context_attach(const struct otelshim_context *context)
{
    int saved_errno = errno;
    struct shim_thread *thread = context ? shim_thread_self() : NULL;
    unsigned token = thread ? shim_thread_enter(thread, NULL, &context->context) : 0;
    errno = saved_errno;
    return token;
}

API(void) otelshim_do_context_detach(unsigned token)
{
    int saved_errno = errno;
    if (token && shim_thread_tls)
        shim_thread_leave(shim_thread_tls, token);
    errno = saved_errno;
}

API(int) otelshim_do_baggage_get(const char *key, char *value, size_t size)
{
    struct shim_str rest = shim_carried_baggage(current()->carried), found, encoded;
    while (shim_baggage_next(&rest, &found, &encoded)) {
        if (!shim_str_equal(found, shim_str(key)))
            continue;
        size_t len = shim_baggage_decode(value, size ? size - 1 : 0, encoded);
        if (size)
            value[len] = '\0';
        return (int)len;
    }
    return -1;
}

API(int) otelshim_do_baggage_set(const char *key, const char *value)
{
    struct shim_thread *thread = is_off() ? NULL : shim_thread_self();
    if (!thread)
        return -1;
    int saved_errno = errno;
    int result = -1;
    /* The context is the thread's own copy: its baggage changes for this thread alone. */
    struct shim_context *context = (struct shim_context *)shim_thread_current(thread, SHIM_FRAME());
    struct shim_str before = shim_carried_baggage(context->carried);
    struct shim_str state = shim_carried_tracestate(context->carried);
    char *memory = malloc(SHIM_BAGGAGE_MAX);
    if (memory) {
        size_t len =
            shim_baggage_set(memory, SHIM_BAGGAGE_MAX, before, shim_str(key), shim_str(value));
        struct shim_carried *carried = shim_carried_new(state, shim_str_n(memory, len));
        if (carried && context->carried)
            carried->debug = context->carried->debug;
        if (carried || (len == 0 && state.len == 0)) {
            shim_carried_unref(context->carried);
            context->carried = carried;
            result = value && len == 0 ? -1 : 0;
        }
        free(memory);
    }
    errno = saved_errno;
    return result;
}

API(int) otelshim_do_flush(unsigned timeout_ms)
{
    int saved_errno = errno;
    bool done = shim_recorder.flush && shim_recorder.flush(timeout_ms);
    errno = saved_errno;
    return done ? 0 : -1;
}
