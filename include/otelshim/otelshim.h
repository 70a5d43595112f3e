/* The optional interface of otelshim: for programs that want to say something to the tracer which
 * is preloaded into them, or to ask it something. Everything here may be called whether otelshim is
 * there or not: the functions are weak, and the wrappers below do nothing and answer "no" without
 * it. Nothing has to be linked.
 *
 *     #include <otelshim/otelshim.h>
 *
 *     struct otelshim_span span = otelshim_span_start("import", OTELSHIM_INTERNAL);
 *     otelshim_span_set_int(span, "import.rows", rows);
 *     otelshim_span_end(span);
 *
 * A program compiled with neither -fPIE nor -fPIC (the default is -fPIE) binds weak functions to
 * "not there" when it is linked: add -fno-plt or -fPIE there.
 *
 * All functions may be called from any thread and leave errno alone. Texts are UTF-8; other bytes
 * arrive as '?'. */
#ifndef OTELSHIM_H
#define OTELSHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Kinds of span (OpenTelemetry, Trace API, SpanKind). */
enum otelshim_kind {
    OTELSHIM_INTERNAL = 1,
    OTELSHIM_SERVER = 2,
    OTELSHIM_CLIENT = 3,
    OTELSHIM_PRODUCER = 4,
    OTELSHIM_CONSUMER = 5
};

/* A span by value: a name for it, not a pointer. Ended or never started ones are ignored
 * everywhere. */
struct otelshim_span {
    uint64_t handle; /* 0: none */
};

/* A context that was taken along, to be attached in another thread or later. Owned by who captured
 * it. */
struct otelshim_context;

#define OTELSHIM_TRACE_ID_SIZE    33 /* 32 lower-case hex digits and a NUL */
#define OTELSHIM_SPAN_ID_SIZE     17
#define OTELSHIM_TRACEPARENT_SIZE 56 /* W3C Trace Context, section 3.2 */

#define OTELSHIM_API_ __attribute__((weak, visibility("default")))

/* For a log line: writes the current trace id, span id or traceparent, NUL-terminated. 1: there is
 * a current span; 0: there is none, and the text is empty. */
OTELSHIM_API_ int otelshim_do_trace_id(char text[OTELSHIM_TRACE_ID_SIZE]);
OTELSHIM_API_ int otelshim_do_span_id(char text[OTELSHIM_SPAN_ID_SIZE]);
OTELSHIM_API_ int otelshim_do_traceparent(char text[OTELSHIM_TRACEPARENT_SIZE]);

/* Starts a span below the current one (or a new trace) and makes it current in this thread until it
 * ends. The name is copied. */
OTELSHIM_API_ struct otelshim_span otelshim_do_span_start(const char *name,
                                                          enum otelshim_kind kind);
/* Ends it. In the thread that started it what was current before is so again; spans started inside
 * it and not ended are no longer current. */
OTELSHIM_API_ void otelshim_do_span_end(struct otelshim_span span);
/* The span that is current in this thread, also one that otelshim made itself. */
OTELSHIM_API_ struct otelshim_span otelshim_do_span_current(void);

/* Attributes. A key that was set before is replaced. Key and value are copied. */
OTELSHIM_API_ void otelshim_do_span_set_string(struct otelshim_span span, const char *key,
                                               const char *value);
OTELSHIM_API_ void otelshim_do_span_set_int(struct otelshim_span span, const char *key,
                                            int64_t value);
OTELSHIM_API_ void otelshim_do_span_set_double(struct otelshim_span span, const char *key,
                                               double value);
OTELSHIM_API_ void otelshim_do_span_set_bool(struct otelshim_span span, const char *key, int value);
/* An event now; status Error with a description ("" or NULL: none). */
OTELSHIM_API_ void otelshim_do_span_add_event(struct otelshim_span span, const char *name);
OTELSHIM_API_ void otelshim_do_span_set_error(struct otelshim_span span, const char *description);

/* The current context with its baggage, to be handed over; NULL: there is none, or no memory. To be
 * freed by otelshim_context_free, any number of attachments later. */
OTELSHIM_API_ struct otelshim_context *otelshim_do_context_capture(void);
OTELSHIM_API_ void otelshim_do_context_free(struct otelshim_context *context);
/* Makes it current in this thread. Returns a token for detach; 0: nothing was attached. NULL is
 * taken. */
OTELSHIM_API_ unsigned otelshim_do_context_attach(const struct otelshim_context *context);
OTELSHIM_API_ void otelshim_do_context_detach(unsigned token);

/* W3C Baggage of the current context. get: writes at most size - 1 bytes of the decoded value,
 * NUL-terminated, and returns how many; -1: no such key. set: for what this thread does from now on
 * in the current span, or until detach; NULL value: removes. 0, or -1: no memory, or over the
 * limits of the standard. */
OTELSHIM_API_ int otelshim_do_baggage_get(const char *key, char *value, size_t size);
OTELSHIM_API_ int otelshim_do_baggage_set(const char *key, const char *value);

/* Sends what is finished; waits at most that long. 0: done; -1: not in time, or nothing to send it
 * with. */
OTELSHIM_API_ int otelshim_do_flush(unsigned timeout_ms);

/* Whether otelshim is in this process. */
static inline int otelshim_is_present(void)
{
    return otelshim_do_span_start != 0;
}

static inline int otelshim_trace_id(char text[OTELSHIM_TRACE_ID_SIZE])
{
    text[0] = '\0';
    return otelshim_do_trace_id ? otelshim_do_trace_id(text) : 0;
}

static inline int otelshim_span_id(char text[OTELSHIM_SPAN_ID_SIZE])
{
    text[0] = '\0';
    return otelshim_do_span_id ? otelshim_do_span_id(text) : 0;
}

static inline int otelshim_traceparent(char text[OTELSHIM_TRACEPARENT_SIZE])
{
    text[0] = '\0';
    return otelshim_do_traceparent ? otelshim_do_traceparent(text) : 0;
}

static inline struct otelshim_span otelshim_span_start(const char *name, enum otelshim_kind kind)
{
    struct otelshim_span none = {0};
    return otelshim_do_span_start ? otelshim_do_span_start(name, kind) : none;
}

static inline void otelshim_span_end(struct otelshim_span span)
{
    if (otelshim_do_span_end)
        otelshim_do_span_end(span);
}

static inline struct otelshim_span otelshim_span_current(void)
{
    struct otelshim_span none = {0};
    return otelshim_do_span_current ? otelshim_do_span_current() : none;
}

static inline void otelshim_span_set_string(struct otelshim_span span, const char *key,
                                            const char *value)
{
    if (otelshim_do_span_set_string)
        otelshim_do_span_set_string(span, key, value);
}

static inline void otelshim_span_set_int(struct otelshim_span span, const char *key, int64_t value)
{
    if (otelshim_do_span_set_int)
        otelshim_do_span_set_int(span, key, value);
}

static inline void otelshim_span_set_double(struct otelshim_span span, const char *key,
                                            double value)
{
    if (otelshim_do_span_set_double)
        otelshim_do_span_set_double(span, key, value);
}

static inline void otelshim_span_set_bool(struct otelshim_span span, const char *key, int value)
{
    if (otelshim_do_span_set_bool)
        otelshim_do_span_set_bool(span, key, value);
}

static inline void otelshim_span_add_event(struct otelshim_span span, const char *name)
{
    if (otelshim_do_span_add_event)
        otelshim_do_span_add_event(span, name);
}

static inline void otelshim_span_set_error(struct otelshim_span span, const char *description)
{
    if (otelshim_do_span_set_error)
        otelshim_do_span_set_error(span, description);
}

static inline struct otelshim_context *otelshim_context_capture(void)
{
    return otelshim_do_context_capture ? otelshim_do_context_capture() : 0;
}

static inline void otelshim_context_free(struct otelshim_context *context)
{
    if (otelshim_do_context_free)
        otelshim_do_context_free(context);
}

static inline unsigned otelshim_context_attach(const struct otelshim_context *context)
{
    return otelshim_do_context_attach ? otelshim_do_context_attach(context) : 0;
}

static inline void otelshim_context_detach(unsigned token)
{
    if (otelshim_do_context_detach)
        otelshim_do_context_detach(token);
}

static inline int otelshim_baggage_get(const char *key, char *value, size_t size)
{
    return otelshim_do_baggage_get ? otelshim_do_baggage_get(key, value, size) : -1;
}

static inline int otelshim_baggage_set(const char *key, const char *value)
{
    return otelshim_do_baggage_set ? otelshim_do_baggage_set(key, value) : -1;
}

static inline int otelshim_flush(unsigned timeout_ms)
{
    return otelshim_do_flush ? otelshim_do_flush(timeout_ms) : -1;
}

#ifdef __cplusplus
}
#endif
#endif
