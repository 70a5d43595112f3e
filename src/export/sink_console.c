/* Traces as trees on stderr, for people. Holds spans back until their local root has come, since
 * children end before parents; bounded. How a trace looks is in console_tree.c. Exporter thread
 * only. */
#include "export/console_tree.h"
#include "export/sink.h"
#include "trace/record.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HELD_SPANS    4096u
#define HELD_BYTES    ((size_t)4 << 20)
#define TEXT_SIZE     ((size_t)1 << 18) /* of one trace */
#define BUCKETS       256u
#define RECENT        64u
#define WRITE_TIMEOUT 2000 /* ms, of one trace on a terminal or pipe that nobody empties */

struct held_span {
    struct held_span *next;
    size_t len;
    uint8_t message[];
};

struct held_trace {
    uint8_t id[16];
    struct held_trace *next; /* in the order of arrival */
    struct held_trace *same_hash;
    struct held_span *first;
    struct held_span **end;
    unsigned count;
    bool root_seen;
};

/* A trace that was printed; what comes of it later is printed at once. */
struct printed {
    uint8_t id[16];
    uint64_t origin_ns;
};

struct console_sink {
    struct shim_sink sink;
    const struct shim_sink_environment *environment;
    struct held_trace *oldest;
    struct held_trace **newest_end;
    struct held_trace *bucket[BUCKETS];
    unsigned spans;
    size_t bytes;
    size_t bytes_max;
    struct printed recent[RECENT];
    unsigned recent_next;
    dev_t dev; /* what stderr was */
    ino_t ino;
    char *text;      /* TEXT_SIZE */
    uint32_t failed; /* spans whose text could not be written, since the last batch */
    int last_error;
    int said_error;
};

static unsigned bucket_of(const uint8_t *trace_id)
{
    return trace_id[15];
}

static struct held_trace *find_trace(struct console_sink *console, const uint8_t *id)
{
    struct held_trace *trace = console->bucket[bucket_of(id)];

    while (trace && memcmp(trace->id, id, sizeof(trace->id)) != 0)
        trace = trace->same_hash;
    return trace;
}

static struct held_trace *add_trace(struct console_sink *console, const uint8_t *id)
{
    struct held_trace *trace = calloc(1, sizeof(*trace));

    if (!trace)
        return NULL;
    memcpy(trace->id, id, sizeof(trace->id));
    trace->end = &trace->first;
    trace->same_hash = console->bucket[bucket_of(id)];
    console->bucket[bucket_of(id)] = trace;
    *console->newest_end = trace;
    console->newest_end = &trace->next;
    return trace;
}

/* Takes it out of both lists; `link` is where the list by arrival points to it. */
static void take_trace(struct console_sink *console, struct held_trace **link)
{
    struct held_trace *trace = *link;
    struct held_trace **in_bucket = &console->bucket[bucket_of(trace->id)];

    while (*in_bucket != trace)
        in_bucket = &(*in_bucket)->same_hash;
    *in_bucket = trace->same_hash;
    *link = trace->next;
    if (console->newest_end == &trace->next)
        console->newest_end = link;
}

static void free_trace(struct console_sink *console, struct held_trace *trace)
{
    while (trace->first) {
        struct held_span *span = trace->first;
        trace->first = span->next;
        console->spans--;
        console->bytes -= span->len;
        free(span);
    }
    free(trace);
}

static struct printed *find_printed(struct console_sink *console, const uint8_t *id)
{
    for (unsigned i = 0; i < RECENT; i++) {
        if (console->recent[i].origin_ns > 0 && memcmp(console->recent[i].id, id, 16) == 0)
            return &console->recent[i];
    }
    return NULL;
}

/* The host may have closed stderr and got the number 2 for a file of its own: 0, or why not to
 * write. */
static int check_stderr(const struct console_sink *console)
{
    struct stat st;
    int domain;
    socklen_t len = sizeof(domain);
    int flags = fcntl(STDERR_FILENO, F_GETFL);

    if (flags < 0 || fstat(STDERR_FILENO, &st) < 0)
        return -errno;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
        return 0;
    if (S_ISSOCK(st.st_mode)) {
        if (getsockopt(STDERR_FILENO, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
            return -errno;
        return domain == AF_UNIX ? 0 : -EBADF;
    }
    if (!S_ISREG(st.st_mode))
        return -EBADF;
    return (st.st_dev == console->dev && st.st_ino == console->ino) || (flags & O_APPEND) ? 0
                                                                                          : -EBADF;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One write where the other end takes it all, which it does unless it is a full pipe or terminal.
 */
static int write_text(struct console_sink *console, const char *text, size_t len)
{
    int64_t deadline = now_ms() + WRITE_TIMEOUT;
    int rc = check_stderr(console);

    while (rc == 0 && len > 0) {
        struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};
        int64_t left = deadline - now_ms();
        int ready = poll(&wait, 1, left > 0 ? (int)left : 0);
        ssize_t written;

        if (ready == 0)
            return -ETIMEDOUT;
        if (ready < 0 && errno != EINTR)
            return -errno;
        written = write(STDERR_FILENO, text, len);
        if (written > 0) {
            text += written;
            len -= (size_t)written;
        } else if (written < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
    }
    return rc;
}

static struct shim_console_style style_of(const struct console_sink *console)
{
    struct shim_console_style style = {0};
    struct winsize size;

    if (!isatty(STDERR_FILENO))
        return style;
    style.colour = !console->environment->config->no_color;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        style.width = size.ws_col;
    return style;
}

static void remember(struct console_sink *console, const struct shim_console_trace *trace,
                     struct printed *printed)
{
    uint64_t origin = UINT64_MAX;

    if (printed)
        return;
    for (unsigned i = 0; i < trace->count; i++) {
        if (trace->span[i]->start_time_unix_nano < origin)
            origin = trace->span[i]->start_time_unix_nano;
    }
    printed = &console->recent[console->recent_next++ % RECENT];
    memcpy(printed->id, trace->span[0]->trace_id.data, sizeof(printed->id));
    printed->origin_ns = origin > 0 ? origin : 1;
}

static int print_spans(struct console_sink *console, const struct held_trace *held,
                       Otlp__Span **span)
{
    struct printed *printed = find_printed(console, held->id);
    const char *service = shim_resource_get(console->environment->resource, "service.name");
    struct shim_console_style style = style_of(console);
    struct shim_console_trace trace = {
        .service = service ? service : "unknown_service",
        .span = span,
        .origin_ns = printed ? printed->origin_ns : 0,
        .part = held->root_seen ? SHIM_CONSOLE_WHOLE
                : printed       ? SHIM_CONSOLE_LATE
                                : SHIM_CONSOLE_UNFINISHED,
    };
    struct shim_buf buf;
    int rc;

    for (const struct held_span *each = held->first; each; each = each->next) {
        span[trace.count] = shim_record_unpack(each->message, each->len);
        if (!span[trace.count])
            break;
        trace.count++;
    }
    rc = trace.count == held->count ? 0 : -ENOMEM; /* they could be unpacked before */
    if (rc == 0) {
        shim_buf_init(&buf, console->text, TEXT_SIZE);
        rc = shim_console_format(&buf, &trace, &style);
    }
    if (rc == 0)
        rc = write_text(console, buf.data, buf.len);
    if (rc == 0)
        remember(console, &trace, printed);
    for (unsigned i = 0; i < trace.count; i++)
        otlp__span__free_unpacked(span[i], NULL);
    return rc;
}

/* Prints and forgets the trace. */
static void print_trace(struct console_sink *console, struct held_trace **link)
{
    struct held_trace *trace = *link;
    Otlp__Span **span = calloc(trace->count, sizeof(*span));
    int rc = span ? print_spans(console, trace, span) : -ENOMEM;

    if (rc < 0)
        console->failed += trace->count;
    console->last_error = rc;
    free(span);
    take_trace(console, link);
    free_trace(console, trace);
}

static bool hold_span(struct console_sink *console, const uint8_t *message, size_t len,
                      const Otlp__Span *unpacked)
{
    struct held_trace *trace;
    struct held_span *span = malloc(sizeof(*span) + len);

    if (!span)
        return false;
    while (console->oldest &&
           (console->spans >= HELD_SPANS || console->bytes + len > console->bytes_max))
        print_trace(console, &console->oldest);
    trace = find_trace(console, unpacked->trace_id.data);
    if (!trace)
        trace = add_trace(console, unpacked->trace_id.data);
    if (!trace) {
        free(span);
        return false;
    }
    span->next = NULL;
    span->len = len;
    memcpy(span->message, message, len);
    *trace->end = span;
    trace->end = &span->next;
    trace->count++;
    console->spans++;
    console->bytes += len;
    if (shim_console_is_root(unpacked))
        trace->root_seen = true;
    return true;
}

static bool take_record(struct console_sink *console, const uint8_t *message, size_t len)
{
    Otlp__Span *span = shim_record_unpack(message, len);
    bool taken = span && span->trace_id.len == 16 && span->span_id.len == 8 &&
                 hold_span(console, message, len, span);

    otlp__span__free_unpacked(span, NULL);
    return taken;
}

/* Those whose root has come, or came before; all of them when `all`. */
static void print_traces(struct console_sink *console, bool all)
{
    struct held_trace **link = &console->oldest;

    while (*link) {
        if (all || (*link)->root_seen || find_printed(console, (*link)->id))
            print_trace(console, link);
        else
            link = &(*link)->next;
    }
}

static void send_batch(struct shim_sink *sink, const struct shim_batch *batch,
                       struct shim_sink_result *ret_result)
{
    struct console_sink *console = (struct console_sink *)sink;
    uint32_t taken = 0;
    uint32_t failed;
    char text[100];

    for (unsigned i = 0; i < batch->piece_count; i++) {
        const uint8_t *data = batch->piece[i].data;
        const uint8_t *end = data + batch->piece[i].len;
        const uint8_t *message;
        size_t len;

        while ((message = shim_record_next(&data, end, &len)))
            taken += take_record(console, message, len);
    }
    print_traces(console, false);
    *ret_result = (struct shim_sink_result){.drop_reason = SHIM_COUNTER_DROPPED_IO};
    /* Spans of earlier batches were reported as exported when they were taken in. */
    failed = console->failed < taken ? console->failed : taken;
    shim_count(console->environment->counters, SHIM_COUNTER_DROPPED_IO, console->failed - failed);
    console->failed = 0;
    ret_result->exported = taken - failed;
    ret_result->dropped =
        batch->spans > ret_result->exported ? batch->spans - ret_result->exported : 0;
    if (console->last_error < 0 && console->last_error != console->said_error)
        snprintf(ret_result->message, sizeof(ret_result->message), "stderr: %s",
                 strerror_r(-console->last_error, text, sizeof(text)));
    console->said_error = console->last_error;
}

static void flush_all(struct shim_sink *sink)
{
    struct console_sink *console = (struct console_sink *)sink;

    print_traces(console, true);
    shim_count(console->environment->counters, SHIM_COUNTER_DROPPED_IO, console->failed);
    console->failed = 0;
}

static void sink_free(struct shim_sink *sink)
{
    struct console_sink *console = (struct console_sink *)sink;

    while (console->oldest) {
        struct held_trace *trace = console->oldest;
        take_trace(console, &console->oldest);
        free_trace(console, trace);
    }
    free(console->text);
    free(console);
}

struct shim_sink *shim_sink_console_new(const struct shim_sink_environment *environment,
                                        char *ret_message)
{
    struct console_sink *console = calloc(1, sizeof(*console));
    char *text = malloc(TEXT_SIZE);
    uint64_t limit = environment->config->memory_limit / 4;
    struct stat st;

    if (!console || !text) {
        free(console);
        free(text);
        snprintf(ret_message, 256, "no memory for the console exporter");
        return NULL;
    }
    console->sink = (struct shim_sink){
        .name = "console", .send = send_batch, .flush = flush_all, .free = sink_free};
    console->environment = environment;
    console->newest_end = &console->oldest;
    console->text = text;
    console->bytes_max = limit < HELD_BYTES ? (size_t)limit : HELD_BYTES;
    if (fstat(STDERR_FILENO, &st) == 0) {
        console->dev = st.st_dev;
        console->ino = st.st_ino;
    }
    return &console->sink;
}
