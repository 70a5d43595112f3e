/* The exporter thread: sleeps until a batch has come together, time is up or a flush is wanted,
 * takes the chunks of finished spans, gives them to the sinks and accounts for them. Knows no hook.
 * Exporter thread only. */
#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "build_id.h"
#include "export/exporter.h"
#include "export/sink.h"
#include "export/stacks.h"
#include "trace/record.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECES_MAX 256
/* Batches grow to this when spans come faster than the collector answers and no size was set. */
#define BATCH_SPANS_MAX 8192
#define BATCH_BYTES_MAX (4u << 20)
#define SINKS_MAX       3
/* A shorter schedule delay would keep the processor awake. */
#define DELAY_MIN_MS 20

struct worker {
    const struct shim_export_source *source;
    struct shim_resource resource;
    struct shim_sink_environment environment;
    struct shim_sink *sink[SINKS_MAX];
    unsigned sink_count;
    uint32_t batch_spans_max;

    uint32_t next_chunk;      /* of the collected list */
    struct shim_chunk *chunk; /* being taken apart; NULL: none */
    const uint8_t *position;  /* in it */
    uint32_t spans_left;

    struct shim_batch_piece piece[PIECES_MAX];
    uint32_t used_chunk[PIECES_MAX]; /* wholly in the batch: free once it is sent */
    unsigned used_count;
    char last_message[256];
};

/* Whether there is a chunk to take records from; takes the next one of the list if need be. */
static bool have_chunk(struct worker *worker)
{
    if (worker->chunk)
        return true;
    if (worker->next_chunk == 0)
        return false;
    worker->chunk = shim_pool_chunk(worker->source->pool, worker->next_chunk);
    worker->next_chunk = atomic_load_explicit(&worker->chunk->next, memory_order_relaxed);
    worker->position = worker->chunk->data;
    worker->spans_left = worker->chunk->spans;
    return true;
}

/* As many records of the present chunk as fit. */
static struct shim_batch_piece take_piece(struct worker *worker, uint32_t spans_max,
                                          uint32_t *ret_spans)
{
    const uint8_t *end = worker->chunk->data + worker->chunk->used;
    const uint8_t *start = worker->position, *position = end;
    uint32_t spans = worker->spans_left;
    if (spans > spans_max) {
        size_t len;
        position = start;
        for (spans = 0; spans < spans_max && shim_record_next(&position, end, &len); spans++)
            ;
        if (spans == 0) {
            /* What lies here is no record: nothing behind it can be told apart. */
            shim_count(worker->source->counters, SHIM_COUNTER_DROPPED_DAMAGED, worker->spans_left);
            atomic_fetch_sub(worker->source->waiting, worker->spans_left);
            worker->spans_left = 0;
        }
    }
    worker->position = position;
    worker->spans_left -= spans;
    if (worker->spans_left == 0) {
        worker->used_chunk[worker->used_count++] = worker->chunk->index;
        worker->chunk = NULL;
    }
    *ret_spans = spans;
    return (struct shim_batch_piece){start, (size_t)(position - start)};
}

static struct shim_batch next_batch(struct worker *worker)
{
    struct shim_batch batch = {.piece = worker->piece};
    worker->used_count = 0;
    while (batch.piece_count < PIECES_MAX && batch.spans < worker->batch_spans_max &&
           batch.bytes < BATCH_BYTES_MAX && have_chunk(worker)) {
        uint32_t spans;
        struct shim_batch_piece piece =
            take_piece(worker, worker->batch_spans_max - batch.spans, &spans);
        worker->piece[batch.piece_count++] = piece;
        batch.bytes += piece.len;
        batch.spans += spans;
    }
    return batch;
}

static void give_chunks_back(struct worker *worker, uint32_t spans)
{
    for (unsigned i = 0; i < worker->used_count; i++)
        shim_pool_give_back(worker->source->pool,
                            shim_pool_chunk(worker->source->pool, worker->used_chunk[i]));
    atomic_fetch_sub(worker->source->waiting, spans);
}

/* The same trouble is told once, until something else happens. */
static void tell(struct worker *worker, const struct shim_sink *sink, const char *message)
{
    if (strncmp(worker->last_message, message, sizeof(worker->last_message)) == 0)
        return;
    memcpy(worker->last_message, message, sizeof(worker->last_message));
    if (message[0])
        shim_log(SHIM_LOG_WARN, "%s: %s", sink->name, message);
}

/* A span that at least one sink took was exported; otherwise it fared as with the first one. */
static void account(struct shim_counters *counters, const struct shim_sink_result *result)
{
    shim_count(counters, SHIM_COUNTER_SPANS_EXPORTED, result->exported);
    shim_count(counters, SHIM_COUNTER_SPANS_REJECTED, result->rejected);
    if (result->dropped)
        shim_count(counters, result->drop_reason, result->dropped);
}

static void send_to_sinks(struct worker *worker, const struct shim_batch *batch)
{
    struct shim_sink_result best = {0};
    for (unsigned i = 0; i < worker->sink_count; i++) {
        struct shim_sink_result result = {0};
        worker->sink[i]->send(worker->sink[i], batch, &result);
        tell(worker, worker->sink[i], result.message);
        if (i == 0 || result.exported > best.exported)
            best = result;
    }
    account(worker->source->counters, &best);
}

static void send_batch(struct worker *worker, const struct shim_batch *batch)
{
    size_t len = 0;
    uint8_t *resolved = NULL;
    if (worker->source->config->stacks && shim_stacks_present(batch)) {
        int place = worker->source->loader_enter();
        resolved = shim_stacks_resolve(batch, &len);
        worker->source->loader_leave(place);
    }
    if (!resolved) {
        send_to_sinks(worker, batch);
        return;
    }
    struct shim_batch_piece piece = {resolved, len};
    struct shim_batch whole = {&piece, 1, len, batch->spans};
    send_to_sinks(worker, &whole);
    free(resolved);
}

/* Sends what has been posted so far; what comes meanwhile rings again. */
static void drain(struct worker *worker)
{
    worker->next_chunk = shim_pool_collect(worker->source->pool);
    while (have_chunk(worker)) {
        struct shim_batch batch = next_batch(worker);
        send_batch(worker, &batch);
        give_chunks_back(worker, batch.spans);
    }
}

static void wait_for_bell(struct worker *worker, uint32_t seen, uint64_t until_ns)
{
    uint64_t now = shim_clock_now();
    if (now >= until_ns)
        return;
    uint64_t ns = until_ns - now;
    struct timespec timeout = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    syscall(SYS_futex, worker->source->doorbell, FUTEX_WAIT_PRIVATE, seen, &timeout, NULL, 0);
}

static void answer_flush(struct worker *worker, uint32_t wanted)
{
    for (unsigned i = 0; i < worker->sink_count; i++)
        if (worker->sink[i]->flush)
            worker->sink[i]->flush(worker->sink[i]);
    atomic_store(worker->source->flush_done, wanted);
    syscall(SYS_futex, worker->source->flush_done, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void work(struct worker *worker)
{
    const struct shim_export_source *source = worker->source;
    uint32_t delay_ms = source->config->bsp_schedule_delay_ms;
    uint64_t delay = (delay_ms > DELAY_MIN_MS ? delay_ms : DELAY_MIN_MS) * 1000000ull;
    uint64_t due = shim_clock_now() + delay;
    for (;;) {
        uint32_t bell = atomic_load(source->doorbell);
        uint32_t wanted = atomic_load(source->flush_wanted);
        bool flush = wanted != atomic_load(source->flush_done);
        bool timed_out = shim_clock_now() >= due;
        if (flush || timed_out || shim_pool_is_tight(source->pool))
            source->harvest();
        bool had_work = atomic_load(source->waiting) != 0;
        drain(worker);
        if (flush)
            answer_flush(worker, wanted);
        if (timed_out) {
            source->refresh_clock();
            if (!had_work)
                shim_pool_trim(source->pool);
            due = shim_clock_now() + delay;
        }
        atomic_store(source->phase, SHIM_EXPORT_IDLE);
        wait_for_bell(worker, bell, due);
    }
}

static void add_sink(struct worker *worker, struct shim_sink *sink, const char *message)
{
    if (sink)
        worker->sink[worker->sink_count++] = sink;
    else
        shim_log(SHIM_LOG_ERROR, "%s", message);
}

static void make_sinks(struct worker *worker)
{
    const struct shim_sink_environment *environment = &worker->environment;
    uint32_t wanted = worker->source->config->exporters;
    char message[256] = "";
    if (wanted & SHIM_EXPORTER_OTLP)
        add_sink(worker, shim_sink_otlp_new(environment, message), message);
    if (wanted & SHIM_EXPORTER_FILE)
        add_sink(worker, shim_sink_file_new(environment, message), message);
    if (wanted & SHIM_EXPORTER_CONSOLE)
        add_sink(worker, shim_sink_console_new(environment, message), message);
}

static int run(const struct shim_export_source *source)
{
    const struct shim_config *config = source->config;
    shim_log_init(config->log_target, config->log_level);
    pthread_setname_np(pthread_self(), SHIM_NAME);
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    struct shim_resource_options options = {config->service_name, config->resource_attributes,
                                            config->command_args};
    if (shim_resource_detect(&worker->resource, &options) != 0)
        shim_log(SHIM_LOG_WARN, "OTEL_RESOURCE_ATTRIBUTES cannot be read and is ignored");
    worker->source = source;
    worker->environment = (struct shim_sink_environment){
        .config = config,
        .resource = &worker->resource,
        .counters = source->counters,
        .wait_at_exit = source->wait_at_exit,
        .phase = source->phase,
    };
    worker->batch_spans_max = config->bsp_max_export_batch_size_is_set
                                  ? config->bsp_max_export_batch_size
                                  : BATCH_SPANS_MAX;
    int place = source->loader_enter(); /* libcurl and libunwind are loaded here, if at all */
    make_sinks(worker);
    if (config->stacks)
        shim_stacks_load(source->backtrace);
    source->loader_leave(place);
    if (worker->sink_count == 0) {
        shim_resource_fini(&worker->resource);
        free(worker);
        return -EINVAL;
    }
    work(worker);
    return 0;
}

static const struct shim_exporter_api api = {SHIM_BUILD_ID, run};

__attribute__((visibility("default"))) const struct shim_exporter_api *otelshim_exporter(void);

const struct shim_exporter_api *otelshim_exporter(void)
{
    return &api;
}
