/* Spans from start to the record in a chunk, read back with protobuf-c. */
#include "test_cmocka.h"

#include "base/clock.h"
#include "config/config.h"
#include "otlp.pb-c.h"
#include "trace/record.h"
#include "trace/recorder.h"
#include "trace/span.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT (2u << 20)

static struct shim_config settings;

static const struct shim_span_limits standard_limits = {128, UINT32_MAX, 128, 128, 128, 128};

static int set_up(void **state)
{
    (void)state;
    settings = (struct shim_config){
        .memory_limit = LIMIT,
        .exporters = SHIM_EXPORTER_OTLP,
        .bsp_max_export_batch_size = 512,
        .sampler = SHIM_SAMPLER_PARENTBASED_ALWAYS_ON,
        .baggage_attributes = "tenant,user.*",
        .limits = standard_limits,
    };
    shim_recorder_init(&settings);
    return 0;
}

/* Takes everything that was recorded; calls `each` with every record. Returns how many there were.
 */
static unsigned take_records(void (*each)(const Otlp__Span *span, void *data), void *data)
{
    unsigned count = 0;
    shim_recorder_harvest();
    for (uint32_t next = shim_pool_collect(&shim_recorder.pool); next;) {
        struct shim_chunk *chunk = shim_pool_chunk(&shim_recorder.pool, next);
        next = chunk->next;
        const uint8_t *position = chunk->data, *end = chunk->data + chunk->used, *record;
        size_t len;
        unsigned in_chunk = 0;
        while ((record = shim_record_next(&position, end, &len))) {
            Otlp__Span *span = otlp__span__unpack(NULL, len, record);
            assert_non_null(span);
            if (each)
                each(span, data);
            otlp__span__free_unpacked(span, NULL);
            in_chunk++;
        }
        assert_ptr_equal(position, end);
        assert_int_equal(in_chunk, chunk->spans);
        count += in_chunk;
        atomic_fetch_sub(&shim_recorder.waiting, chunk->spans);
        shim_pool_give_back(&shim_recorder.pool, chunk);
    }
    return count;
}

static const Otlp__AnyValue *attribute(const Otlp__Span *span, const char *key)
{
    const Otlp__AnyValue *found = NULL;
    for (size_t i = 0; i < span->n_attributes; i++)
        if (strcmp(span->attributes[i]->key, key) == 0) {
            assert_null(found); /* keys are unique */
            found = span->attributes[i]->value;
        }
    return found;
}

static struct shim_span *start(struct shim_context *ret_context)
{
    struct shim_thread *thread = shim_thread_self();
    return shim_span_start(thread, SHIM_SPAN_CLIENT, shim_str("GET"),
                           shim_thread_current(thread, SHIM_FRAME()), ret_context);
}

static void end(struct shim_span *span, struct shim_context *context)
{
    assert_ptr_equal(shim_slab_get(&shim_recorder.spans, context->live.slot), span);
    shim_span_end_ref(shim_thread_self(), context->live);
    shim_context_fini(context);
}

static void check_all_fields(const Otlp__Span *span, void *data)
{
    const struct shim_context *context = data;
    assert_memory_equal(span->trace_id.data, context->span.trace_id, 16);
    assert_memory_equal(span->span_id.data, context->span.span_id, 8);
    assert_int_equal(span->parent_span_id.len, 0);
    assert_string_equal(span->name, "GET");
    assert_int_equal(span->kind, 3);
    assert_int_equal(span->flags, 0x100 | SHIM_TRACE_FLAG_SAMPLED | SHIM_TRACE_FLAG_RANDOM);
    assert_true(span->end_time_unix_nano >= span->start_time_unix_nano);
    uint64_t now = shim_span_now();
    assert_true(span->end_time_unix_nano <= now && now - span->start_time_unix_nano < 60000000000u);
    assert_int_equal(span->n_attributes, 6);
    assert_string_equal(attribute(span, "text")->string_value, "caf\xc3\xa9 ?");
    assert_int_equal(attribute(span, "int")->int_value, -7);
    assert_true(attribute(span, "double")->double_value == 0.25);
    assert_true(attribute(span, "bool")->bool_value);
    const Otlp__AnyValue *array = attribute(span, "array");
    assert_int_equal(array->array_value->n_values, 2);
    assert_string_equal(array->array_value->values[1]->string_value, "two");
    assert_string_equal(attribute(span, "encoded")->string_value, "before");
    assert_int_equal(span->n_events, 1);
    assert_string_equal(span->events[0]->name, "event");
    assert_int_equal(span->n_links, 1);
    assert_memory_equal(span->links[0]->trace_id.data, context->span.trace_id, 16);
    assert_int_equal(span->status->code, 2);
    assert_string_equal(span->status->message, "broken");
    assert_int_equal(span->dropped_attributes_count, 0);
}

static void test_record_has_every_field(void **state)
{
    (void)state;
    struct shim_context context;
    struct shim_span *span = start(&context);
    assert_true(span->recording);
    shim_span_add_str(span, "text", shim_str("caf\xc3\xa9 \xe9"));
    shim_span_add_int(span, "int", -7);
    shim_span_add_double(span, "double", 0.25);
    shim_span_add_bool(span, "bool", true);
    struct shim_str values[] = {shim_str("one"), shim_str("two")};
    shim_span_add_str_array_n(span, "array", 5, values, 2);
    uint8_t encoded[64];
    size_t len =
        shim_span_encode_str(encoded, sizeof(encoded), shim_str("encoded"), shim_str("before"));
    shim_span_add_encoded(span, encoded, len, 1);
    shim_span_add_event(span, shim_str("event"), shim_span_now());
    shim_span_add_link(span, &context);
    shim_span_set_status(span, SHIM_STATUS_ERROR, shim_str("broken"));
    struct shim_context kept = context;
    end(span, &context);
    assert_int_equal(take_records(check_all_fields, &kept), 1);
}

static void check_child(const Otlp__Span *span, void *data)
{
    const struct shim_span_context *parent = data;
    assert_memory_equal(span->trace_id.data, parent->trace_id, 16);
    assert_int_equal(span->parent_span_id.len, 8);
    assert_memory_equal(span->parent_span_id.data, parent->span_id, 8);
    assert_int_equal(span->flags & 0x300, parent->is_remote ? 0x300 : 0x100);
    assert_string_equal(span->trace_state, "a=b");
    assert_string_equal(attribute(span, "tenant")->string_value, "x y");
    assert_null(attribute(span, "other"));
}

static void test_child_of_a_remote_parent(void **state)
{
    (void)state;
    struct shim_thread *thread = shim_thread_self();
    struct shim_context parent = {
        .span = {.trace_id = {1},
                 .span_id = {2},
                 .flags = SHIM_TRACE_FLAG_SAMPLED,
                 .is_remote = true},
        .carried = shim_carried_new(shim_str("a=b"), shim_str("tenant=x%20y,other=1")),
    };
    struct shim_context context;
    struct shim_span *span =
        shim_span_start(thread, SHIM_SPAN_SERVER, shim_str("s"), &parent, &context);
    assert_memory_equal(context.span.trace_id, parent.span.trace_id, 16);
    assert_int_equal(context.span.flags,
                     SHIM_TRACE_FLAG_SAMPLED); /* random is passed on as received */
    assert_int_equal(context.local_root.generation, context.live.generation);
    end(span, &context);
    assert_int_equal(take_records(check_child, &parent.span), 1);
    shim_context_fini(&parent);
}

static void check_limits(const Otlp__Span *span, void *data)
{
    (void)data;
    assert_int_equal(span->n_attributes, 3);
    assert_int_equal(span->dropped_attributes_count, 2);
    assert_string_equal(attribute(span, "k0")->string_value, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f");
    assert_int_equal(span->n_events, 1);
    assert_int_equal(span->dropped_events_count, 2);
    assert_int_equal(span->n_links, 1);
    assert_int_equal(span->dropped_links_count, 1);
}

static void test_span_limits(void **state)
{
    (void)state;
    settings.limits = (struct shim_span_limits){3, 4, 1, 1, 128, 128};
    shim_recorder_init(&settings);
    struct shim_context context;
    struct shim_span *span = start(&context);
    const char *keys[] = {"k0", "k1", "k2", "k3", "k4"};
    for (unsigned i = 0; i < 5; i++)
        shim_span_add_str_n(span, keys[i], 2, shim_str("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa9"));
    for (unsigned i = 0; i < 3; i++)
        shim_span_add_event(span, shim_str("e"), 1);
    for (unsigned i = 0; i < 2; i++)
        shim_span_add_link(span, &context);
    end(span, &context);
    assert_int_equal(take_records(check_limits, NULL), 1);
}

static void check_large(const Otlp__Span *span, void *data)
{
    (void)data;
    assert_int_equal(strlen(attribute(span, "large")->string_value), 20000);
    assert_null(attribute(span, "huge"));
    assert_int_equal(span->dropped_attributes_count, 1);
    assert_string_equal(attribute(span, "after")->string_value, "fits");
}

static void test_a_span_outgrows_its_slot(void **state)
{
    (void)state;
    char *text = malloc(SHIM_CHUNK_SIZE);
    memset(text, 'x', SHIM_CHUNK_SIZE);
    struct shim_context context;
    struct shim_span *span = start(&context);
    uint32_t in_use = atomic_load(&shim_recorder.pool.in_use);
    shim_span_add_str(span, "large", shim_str_n(text, 20000));
    shim_span_add_str(span, "huge", shim_str_n(text, SHIM_CHUNK_SIZE));
    shim_span_add_str(span, "after", shim_str("fits"));
    assert_int_equal(atomic_load(&shim_recorder.pool.in_use), in_use + 1);
    end(span, &context);
    assert_int_equal(take_records(check_large, NULL), 1);
    assert_int_equal(atomic_load(&shim_recorder.pool.in_use), 0);
    free(text);
}

static void test_the_largest_record_fits_a_chunk(void **state)
{
    (void)state;
    char *text = malloc(SHIM_CHUNK_SIZE);
    memset(text, 'x', SHIM_CHUNK_SIZE);
    for (size_t len = SHIM_CHUNK_ROOM - 300; len < SHIM_CHUNK_ROOM; len++) {
        struct shim_context context;
        struct shim_span *span = start(&context);
        shim_span_add_str(span, "k", shim_str_n(text, len));
        end(span, &context);
        assert_int_equal(take_records(NULL, NULL), 1);
    }
    free(text);
}

static void check_replaced(const Otlp__Span *span, void *data)
{
    (void)data;
    assert_int_equal(span->n_attributes, 2);
    assert_string_equal(attribute(span, "a")->string_value, "second");
    assert_int_equal(attribute(span, "b")->int_value, 1);
    assert_string_equal(span->name, "renamed");
}

static void test_attributes_are_replaced(void **state)
{
    (void)state;
    struct shim_context context;
    struct shim_span *span = start(&context);
    shim_span_add_str(span, "a", shim_str("first"));
    shim_span_add_int(span, "b", 1);
    shim_span_remove_attribute(span, shim_str("a"));
    shim_span_remove_attribute(span, shim_str("none"));
    shim_span_add_str(span, "a", shim_str("second"));
    shim_span_set_name(span, shim_str("renamed"));
    end(span, &context);
    assert_int_equal(take_records(check_replaced, NULL), 1);
}

static void test_unsampled_spans_have_ids_only(void **state)
{
    (void)state;
    settings.sampler = SHIM_SAMPLER_ALWAYS_OFF;
    shim_recorder_init(&settings);
    struct shim_context context;
    struct shim_span *span = start(&context);
    assert_false(span->recording);
    assert_true(shim_context_is_valid(&context));
    assert_false(shim_context_is_sampled(&context));
    assert_false(shim_span_ref_has_ended(context.live));
    struct shim_span_ref ref = context.live;
    shim_span_add_str(span, "a", shim_str("b"));
    end(span, &context);
    assert_true(shim_span_ref_has_ended(ref));
    assert_int_equal(take_records(NULL, NULL), 0);
}

static void test_stale_references_are_ignored(void **state)
{
    (void)state;
    struct shim_context context;
    struct shim_span *span = start(&context);
    struct shim_span_ref ref = context.live;
    assert_ptr_equal(shim_span_hold(ref), span);
    shim_span_release(span);
    end(span, &context);
    assert_null(shim_span_hold(ref));
    shim_span_end_ref(shim_thread_self(), ref);
    struct shim_span *next = start(&context);
    assert_ptr_equal(next, span); /* the slot is reused */
    assert_null(shim_span_hold(ref));
    shim_span_end_ref(shim_thread_self(), ref);
    assert_false(shim_span_ref_has_ended(context.live));
    end(next, &context);
    assert_int_equal(take_records(NULL, NULL), 2);
}

static void test_a_span_that_is_held_is_ended_by_its_holder(void **state)
{
    (void)state;
    struct shim_context context;
    struct shim_span *span = start(&context);
    struct shim_span_ref ref = context.live;
    assert_ptr_equal(shim_span_hold(ref), span);
    shim_span_end_ref(shim_thread_self(), ref); /* as another thread would */
    assert_false(shim_span_ref_has_ended(ref));
    assert_int_equal(take_records(NULL, NULL), 0);
    shim_span_release(span);
    assert_true(shim_span_ref_has_ended(ref));
    assert_int_equal(take_records(NULL, NULL), 1);
    shim_context_fini(&context);
}

static void test_a_child_does_not_write_into_the_parents_chunks(void **state)
{
    (void)state;
    char *text = malloc(SHIM_CHUNK_SIZE);
    memset(text, 'x', SHIM_CHUNK_SIZE);
    struct shim_context context;
    struct shim_span *span = start(&context);
    shim_span_add_str(span, "large", shim_str_n(text, 5000));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct shim_context own;
        for (unsigned i = 0; i < 200; i++) /* over what the span has written so far */
            end(start(&own), &own);
        shim_span_add_str(span, "more", shim_str_n(text, 5000));
        end(span, &context);
        _exit(take_records(NULL, NULL) == 200 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    end(span, &context);
    assert_int_equal(take_records(NULL, NULL), 1);
    free(text);
}

static void test_what_does_not_fit_is_counted(void **state)
{
    (void)state;
    char text[500];
    memset(text, 'x', sizeof(text));
    uint64_t recorded = shim_recorder_counted(SHIM_COUNTER_SPANS_RECORDED);
    uint64_t dropped = shim_recorder_counted(SHIM_COUNTER_DROPPED_QUEUE_FULL);
    for (unsigned i = 0; i < 10000; i++) {
        struct shim_context context;
        struct shim_span *span = start(&context);
        shim_span_add_str(span, "k", shim_str_n(text, sizeof(text)));
        end(span, &context);
    }
    recorded = shim_recorder_counted(SHIM_COUNTER_SPANS_RECORDED) - recorded;
    dropped = shim_recorder_counted(SHIM_COUNTER_DROPPED_QUEUE_FULL) - dropped;
    assert_int_equal(recorded + dropped, 10000);
    assert_in_range(recorded, LIMIT / 700, LIMIT / 500);
    assert_int_equal(take_records(NULL, NULL), recorded);
}

static void test_queue_size_is_obeyed(void **state)
{
    (void)state;
    settings.bsp_max_queue_size = 100;
    shim_recorder_init(&settings);
    for (unsigned i = 0; i < 300; i++) {
        struct shim_context context;
        struct shim_span *span = start(&context);
        end(span, &context);
    }
    assert_int_equal(take_records(NULL, NULL), 100);
}

#define THREADS          4
#define SPANS_PER_THREAD 20000

static void *record_many(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < SPANS_PER_THREAD; i++) {
        struct shim_context context;
        struct shim_span *span = start(&context);
        shim_span_add_int(span, "i", i);
        end(span, &context);
    }
    return NULL;
}

static void test_threads_and_collector_at_once(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    uint64_t dropped = shim_recorder_counted(SHIM_COUNTER_DROPPED_QUEUE_FULL);
    uint64_t recorded = shim_recorder_counted(SHIM_COUNTER_SPANS_RECORDED);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, record_many, NULL), 0);
    uint64_t taken = 0;
    while (shim_recorder_counted(SHIM_COUNTER_SPANS_RECORDED) - recorded +
               shim_recorder_counted(SHIM_COUNTER_DROPPED_QUEUE_FULL) - dropped <
           THREADS * SPANS_PER_THREAD)
        taken += take_records(NULL, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    taken += take_records(NULL, NULL);
    dropped = shim_recorder_counted(SHIM_COUNTER_DROPPED_QUEUE_FULL) - dropped;
    assert_int_equal(taken + dropped, THREADS * SPANS_PER_THREAD);
    assert_int_equal(atomic_load(&shim_recorder.pool.in_use), 0);
    assert_int_equal(atomic_load(&shim_recorder.waiting), 0);
}

static void *record_one(void *unused)
{
    (void)unused;
    struct shim_context context;
    struct shim_span *span = start(&context);
    end(span, &context);
    return NULL;
}

static void test_ended_threads_share_their_chunks(void **state)
{
    (void)state;
    uint32_t threads_before = atomic_load(&shim_recorder.threads.fresh);
    for (unsigned i = 0; i < 2000; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, record_one, NULL), 0);
        pthread_join(thread, NULL);
    }
    /* 2,000 records of some 100 bytes, not 2,000 chunks. */
    assert_in_range(atomic_load(&shim_recorder.pool.in_use), 1, 12);
    assert_in_range(atomic_load(&shim_recorder.threads.fresh), 1, threads_before + 2);
    assert_int_equal(take_records(NULL, NULL), 2000);
}

static void check_fork_child(const Otlp__Span *span, void *data)
{
    assert_memory_equal(span->parent_span_id.data, data, 8);
}

static int run_in_child(struct shim_context *context, struct shim_span *span, uint8_t parent_id[8])
{
    struct shim_thread *thread = shim_thread_self();
    struct shim_context below;
    struct shim_span *child =
        shim_span_start(thread, SHIM_SPAN_CLIENT, shim_str("c"), context, &below);
    end(child, &below);
    end(span, context); /* the parent's: not ours to record */
    return take_records(check_fork_child, parent_id) == 1 ? 0 : 1;
}

static void test_a_forked_child_starts_over(void **state)
{
    (void)state;
    struct shim_context context, other;
    struct shim_span *before = start(&other);
    end(before, &other); /* recorded, not yet taken: the parent's too */
    struct shim_span *span = start(&context);
    uint8_t id[8];
    memcpy(id, context.span.span_id, 8);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run_in_child(&context, span, id));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    end(span, &context);
    assert_int_equal(take_records(NULL, NULL), 2);
}

static void test_forked_children_have_ids_of_their_own(void **state)
{
    (void)state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    uint8_t ids[3][8];
    for (unsigned i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct shim_context context;
            struct shim_span *span = start(&context);
            ssize_t written = write(pipes[1], context.span.span_id, 8);
            end(span, &context);
            _exit(written == 8 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(read(pipes[0], ids[i], 8), 8);
    }
    struct shim_context context;
    struct shim_span *span = start(&context);
    memcpy(ids[2], context.span.span_id, 8);
    end(span, &context);
    assert_memory_not_equal(ids[0], ids[1], 8);
    assert_memory_not_equal(ids[0], ids[2], 8);
    assert_memory_not_equal(ids[1], ids[2], 8);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(take_records(NULL, NULL), 1);
}

static __attribute__((noinline)) void enter_and_abandon(const struct shim_context *context)
{
    assert_int_not_equal(shim_thread_enter(shim_thread_self(), SHIM_FRAME(), context), 0);
    assert_true(shim_context_is_valid(
        shim_thread_current(shim_thread_self(), (const char *)SHIM_FRAME() - 1)));
}

static void test_scopes(void **state)
{
    (void)state;
    struct shim_thread *thread = shim_thread_self();
    struct shim_context a = {.span = {.trace_id = {1}, .span_id = {1}}};
    struct shim_context b = {.span = {.trace_id = {1}, .span_id = {2}}};
    assert_false(shim_context_is_valid(shim_thread_current(thread, SHIM_FRAME())));
    unsigned outer = shim_thread_enter(thread, NULL, &a);
    unsigned inner = shim_thread_enter(thread, NULL, &b);
    assert_int_equal(shim_thread_current(thread, SHIM_FRAME())->span.span_id[0], 2);
    shim_thread_leave(thread, inner);
    assert_int_equal(shim_thread_current(thread, SHIM_FRAME())->span.span_id[0], 1);
    inner = shim_thread_enter(thread, NULL, &b);
    shim_thread_leave(thread, outer); /* takes the inner one along */
    assert_int_equal(thread->depth, 0);
    enter_and_abandon(&a); /* as longjmp over the wrapper would */
    assert_false(shim_context_is_valid(shim_thread_current(thread, SHIM_FRAME())));
    for (unsigned i = 0; i < SHIM_SCOPES_MAX; i++)
        assert_int_equal(shim_thread_enter(thread, NULL, &a), i + 1);
    assert_int_equal(shim_thread_enter(thread, NULL, &b), 0);
    shim_thread_leave(thread, 0);
    assert_int_equal(thread->depth, SHIM_SCOPES_MAX);
    shim_thread_leave(thread, 1);
    assert_int_equal(thread->depth, 0);
}

static void test_an_inherited_context_ends_at_the_first_wait_after_its_root(void **state)
{
    (void)state;
    struct shim_thread *thread = shim_thread_self();
    struct shim_context context;
    struct shim_span *span = start(&context);
    shim_thread_inherit(thread, &context);
    shim_thread_at_wait(thread, false);
    assert_true(shim_context_is_valid(shim_thread_current(thread, SHIM_FRAME())));
    end(span, &context);
    assert_true(shim_context_is_valid(shim_thread_current(thread, SHIM_FRAME())));
    shim_thread_at_wait(thread, true);
    assert_true(shim_context_is_valid(shim_thread_current(thread, SHIM_FRAME())));
    shim_thread_at_wait(thread, false);
    assert_false(shim_context_is_valid(shim_thread_current(thread, SHIM_FRAME())));
    assert_int_equal(take_records(NULL, NULL), 1);
}

static void test_a_continuation_gives_the_inherited_context_back(void **state)
{
    (void)state;
    struct shim_thread *thread = shim_thread_self();
    struct shim_context a = {.span = {.trace_id = {1}, .span_id = {1}}};
    struct shim_context b = {.span = {.trace_id = {1}, .span_id = {2}}};
    int owner, other;
    shim_thread_inherit(thread, &a);
    shim_thread_continue(thread, &b, &owner);
    assert_int_equal(shim_thread_current(thread, SHIM_FRAME())->span.span_id[0], 2);
    shim_thread_end_continuation(thread, &other);
    assert_int_equal(shim_thread_current(thread, SHIM_FRAME())->span.span_id[0], 2);
    shim_thread_end_continuation(thread, &owner);
    assert_int_equal(shim_thread_current(thread, SHIM_FRAME())->span.span_id[0], 1);
    shim_thread_continue(thread, &b, &owner);
    shim_thread_at_wait(thread, true);
    assert_int_equal(shim_thread_current(thread, SHIM_FRAME())->span.span_id[0], 1);
    shim_thread_forget(thread);
    assert_false(shim_context_is_valid(shim_thread_current(thread, SHIM_FRAME())));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_record_has_every_field, set_up),
        cmocka_unit_test_setup(test_child_of_a_remote_parent, set_up),
        cmocka_unit_test_setup(test_span_limits, set_up),
        cmocka_unit_test_setup(test_a_span_outgrows_its_slot, set_up),
        cmocka_unit_test_setup(test_the_largest_record_fits_a_chunk, set_up),
        cmocka_unit_test_setup(test_attributes_are_replaced, set_up),
        cmocka_unit_test_setup(test_unsampled_spans_have_ids_only, set_up),
        cmocka_unit_test_setup(test_stale_references_are_ignored, set_up),
        cmocka_unit_test_setup(test_a_span_that_is_held_is_ended_by_its_holder, set_up),
        cmocka_unit_test_setup(test_a_child_does_not_write_into_the_parents_chunks, set_up),
        cmocka_unit_test_setup(test_what_does_not_fit_is_counted, set_up),
        cmocka_unit_test_setup(test_queue_size_is_obeyed, set_up),
        cmocka_unit_test_setup(test_threads_and_collector_at_once, set_up),
        cmocka_unit_test_setup(test_ended_threads_share_their_chunks, set_up),
        cmocka_unit_test_setup(test_a_forked_child_starts_over, set_up),
        cmocka_unit_test_setup(test_forked_children_have_ids_of_their_own, set_up),
        cmocka_unit_test_setup(test_scopes, set_up),
        cmocka_unit_test_setup(test_an_inherited_context_ends_at_the_first_wait_after_its_root,
                               set_up),
        cmocka_unit_test_setup(test_a_continuation_gives_the_inherited_context_back, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
