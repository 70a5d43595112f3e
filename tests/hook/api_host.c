/* A program that uses the optional interface and links nothing of it; C and C++. It says what it
 * finds; only with otelshim is there something to find. Usage: api_host FILE */
#include <otelshim/otelshim.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bare and preloaded print the same; what differs goes to the file that the test names. */
static FILE *found;

static void note(const char *what)
{
    char trace[OTELSHIM_TRACE_ID_SIZE], span[OTELSHIM_SPAN_ID_SIZE],
        parent[OTELSHIM_TRACEPARENT_SIZE];
    int has_trace = otelshim_trace_id(trace), has_span = otelshim_span_id(span);
    int has_parent = otelshim_traceparent(parent);
    fprintf(found, "%s %d%d%d [%s] [%s] [%s]\n", what, has_trace, has_span, has_parent, trace, span,
            parent);
}

static void note_baggage(const char *key)
{
    char value[8];
    int length = otelshim_baggage_get(key, value, sizeof(value));
    fprintf(found, "baggage %s %d %s\n", key, length, length < 0 ? "" : value);
}

struct handed_over {
    struct otelshim_context *context;
    struct otelshim_span span;
};

static void *in_thread(void *argument)
{
    struct handed_over *handed = (struct handed_over *)argument;
    note("thread-before");
    unsigned token = otelshim_context_attach(handed->context);
    note("thread-attached");
    note_baggage("user");
    struct otelshim_span span = otelshim_span_start("in-thread", OTELSHIM_CONSUMER);
    otelshim_span_end(span);
    otelshim_span_set_int(handed->span, "from.thread", 7);
    otelshim_span_end(handed->span); /* ends in another thread than it began in */
    otelshim_context_detach(token);
    note("thread-after");
    return NULL;
}

static void hand_over(void)
{
    struct handed_over handed;
    pthread_t thread;
    struct otelshim_span outer = otelshim_span_start("captured", OTELSHIM_PRODUCER);
    otelshim_baggage_set("user", "j\xc3\xb6");
    handed.context = otelshim_context_capture();
    handed.span = otelshim_span_start("ended-elsewhere", OTELSHIM_CLIENT);
    unsigned none = otelshim_context_attach(NULL);
    otelshim_context_detach(none);
    pthread_create(&thread, NULL, in_thread, &handed);
    pthread_join(thread, NULL);
    otelshim_span_end(outer);
    note("after-captured");
    /* A context may outlive its span. */
    unsigned token = otelshim_context_attach(handed.context);
    struct otelshim_span late = otelshim_span_start("late", OTELSHIM_INTERNAL);
    otelshim_span_end(late);
    otelshim_context_detach(token);
    otelshim_context_free(handed.context);
    otelshim_context_free(NULL);
}

static void attributes(void)
{
    struct otelshim_span none = {0};
    struct otelshim_span span = otelshim_span_start("attributes", OTELSHIM_SERVER);
    otelshim_span_set_string(span, "text", "first");
    otelshim_span_set_string(span, "text", "second");
    otelshim_span_set_string(span, "bytes", "a\xe9z");
    otelshim_span_set_int(span, "int", -5);
    otelshim_span_set_double(span, "double", 0.5);
    otelshim_span_set_bool(span, "bool", 3);
    otelshim_span_add_event(span, "happened");
    otelshim_span_set_error(otelshim_span_current(), "went wrong");
    otelshim_span_set_string(none, "nothing", "x");
    otelshim_span_set_error(none, NULL);
    otelshim_span_end(span);
    otelshim_span_set_int(span, "too.late", 1);
    otelshim_span_end(span);
    otelshim_span_end(none);
}

static void nesting(void)
{
    note("nothing");
    struct otelshim_span a = otelshim_span_start("a", OTELSHIM_SERVER);
    note("in-a");
    struct otelshim_span b = otelshim_span_start("b", OTELSHIM_INTERNAL);
    note("in-b");
    otelshim_span_end(b);
    note("in-a-again");
    otelshim_span_start("not-ended", OTELSHIM_INTERNAL);
    otelshim_span_end(a);
    note("nothing-again");
}

static void baggage(void)
{
    note_baggage("key");
    fprintf(found, "set %d\n", otelshim_baggage_set("key", "va l,ue"));
    note_baggage("key");
    struct otelshim_span span = otelshim_span_start("with-baggage", OTELSHIM_INTERNAL);
    fprintf(found, "set %d\n", otelshim_baggage_set("inner", "1"));
    note_baggage("inner");
    otelshim_span_end(span);
    note_baggage("inner");
    fprintf(found, "remove %d\n", otelshim_baggage_set("key", NULL));
    note_baggage("key");
}

int main(int argc, char **argv)
{
    (void)argc;
    found = fopen(argv[1], "w");
    if (!found)
        return 2;
    errno = 4711;
    fprintf(found, "present %d\n", otelshim_is_present());
    nesting();
    attributes();
    hand_over();
    baggage();
    fprintf(found, "flush %d\n", otelshim_flush(10000));
    printf("errno %d\n", errno);
    fclose(found);
    return 0;
}
