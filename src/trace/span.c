/* A span's start and end; see span.h. Knows no library, no linker, no network.
 * Any thread; a span is mutated by one at a time. */
#include "trace/span.h"

#include "base/clock.h"
#include "base/match.h"
#include "base/utf8.h"
#include "trace/propagator.h"
#include "trace/record.h"
#include "trace/recorder.h"
#include "trace/wire.h"

/* How often a mutator looks again at a span that another thread holds; a holder needs some 50 ns.
 */
#define HOLD_TRIES 2000

#define STACK_FRAMES_MAX 64

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t generation_of(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

static uint64_t state_of(uint32_t generation)
{
    return (uint64_t)generation << 32;
}

/* Makes the caller the one who may change the span, if it is still that one. */
static bool hold(struct shim_span *span, uint32_t generation)
{
    for (unsigned i = 0; i < HOLD_TRIES; i++) {
        uint64_t seen = state_of(generation);
        if (atomic_compare_exchange_strong_explicit(&span->state, &seen, seen | SHIM_SPAN_HELD,
                                                    memory_order_acquire, memory_order_relaxed))
            return true;
        if (generation_of(seen) != generation || (seen & SHIM_SPAN_END_WANTED))
            return false;
        relax();
    }
    return false;
}

static bool is_current(struct shim_span *span, struct shim_span_ref ref)
{
    return span && generation_of(atomic_load_explicit(&span->state, memory_order_acquire)) ==
                       ref.generation;
}

struct shim_span *shim_span_hold(struct shim_span_ref ref)
{
    struct shim_span *span = shim_slab_get(&shim_recorder.spans, ref.slot);
    if (!span || !hold(span, ref.generation))
        return NULL;
    if (span->recording)
        return span;
    shim_span_release(span);
    return NULL;
}

bool shim_span_ref_has_ended(struct shim_span_ref ref)
{
    return !is_current(shim_slab_get(&shim_recorder.spans, ref.slot), ref);
}

static struct shim_span *take_slot(struct shim_thread *thread)
{
    struct shim_span *span =
        atomic_exchange_explicit(&thread->spare_span, NULL, memory_order_acquire);
    if (span)
        return span;
    struct shim_recorder *r = &shim_recorder;
    size_t block = shim_slab_block_size(&r->spans);
    bool may_grow = shim_slab_is_full(&r->spans) && shim_pool_reserve(&r->pool, block);
    bool grew = false;
    span = shim_slab_take(&r->spans, may_grow, &grew);
    if (may_grow && !grew)
        shim_pool_unreserve(&r->pool, block);
    return span;
}

static void give_slot_back(struct shim_thread *thread, struct shim_span *span)
{
    void *other = NULL;
    if (!thread ||
        !atomic_compare_exchange_strong_explicit(&thread->spare_span, &other, span,
                                                 memory_order_release, memory_order_relaxed))
        shim_slab_give_back(&shim_recorder.spans, span);
}

static void put_u64(uint8_t *dst, uint64_t value)
{
    memcpy(dst, &value, sizeof(value));
}

static uint64_t random_nonzero(struct shim_random *random)
{
    uint64_t value;
    do {
        value = shim_random_next(random);
    } while (value == 0);
    return value;
}

/* The ids and flags of a new span, and whether it is sampled. *context begins as a copy of the
 * parent's. */
static bool make_context(struct shim_thread *thread, const struct shim_span_context *parent,
                         struct shim_context *context)
{
    if (!parent) {
        put_u64(context->span.trace_id, random_nonzero(&thread->random));
        put_u64(context->span.trace_id + 8, random_nonzero(&thread->random));
        context->span.flags = SHIM_TRACE_FLAG_RANDOM;
    }
    put_u64(context->span.span_id, random_nonzero(&thread->random));
    context->span.is_remote = false;
    bool sampled = shim_sampler_decide(&shim_recorder.sampler, parent, context);
    context->span.flags = (uint8_t)((context->span.flags & SHIM_TRACE_FLAG_RANDOM) |
                                    (sampled ? SHIM_TRACE_FLAG_SAMPLED : 0));
    return sampled;
}

static void count_own(_Atomic uint64_t *counter)
{
    /* Only this thread writes it: no locked instruction is needed. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void put_trace_state(struct shim_span *span, const struct shim_carried *carried)
{
    size_t len = carried->tracestate.len;
    if (len == 0 || span->used + len + 4 > span->room)
        return;
    uint8_t *p = span->data + span->used;
    *p++ = SHIM_WIRE_TAG(3, SHIM_WIRE_LEN);
    p = shim_wire_put_varint(p, len);
    p = shim_wire_put_bytes(p, carried->tracestate.ptr, len);
    span->used = (uint32_t)(p - span->data);
}

/* OTELSHIM_BAGGAGE_ATTRIBUTES. */
static void add_baggage(struct shim_span *span, const struct shim_carried *carried)
{
    struct shim_str rest = carried->baggage, key, value;
    char decoded[256];
    while (shim_baggage_next(&rest, &key, &value))
        if (shim_glob_list_match(shim_recorder.baggage_attributes, key, false)) {
            size_t len = shim_baggage_decode(decoded, sizeof(decoded), value);
            shim_span_add_str_n(span, key.ptr, key.len, shim_str_n(decoded, len));
        }
}

/* Begins the exporter thread if that has not been done yet. */
static inline void have_exporter(void)
{
    struct shim_recorder *r = &shim_recorder;
    if (atomic_load_explicit(&r->exporter, memory_order_relaxed) == 0 && r->start_exporter &&
        atomic_exchange(&r->exporter, 1) == 0)
        r->start_exporter();
}

struct shim_span *shim_span_start(struct shim_thread *thread, enum shim_span_kind kind,
                                  struct shim_str name, const struct shim_context *parent,
                                  struct shim_context *ret_context)
{
    struct shim_recorder *r = &shim_recorder;
    shim_context_copy(ret_context, parent);
    struct shim_span *span = take_slot(thread);
    if (!span) {
        shim_count(&r->counters, SHIM_COUNTER_DROPPED_NO_SLOT, 1);
        return NULL;
    }
    bool has_parent = shim_context_is_valid(parent);
    bool sampled = make_context(thread, has_parent ? &parent->span : NULL, ret_context);
    count_own(&thread->started);
    if (!sampled)
        count_own(&thread->unsampled);

    span->recording = sampled && atomic_load_explicit(&r->records, memory_order_relaxed);
    if (sampled && !span->recording)
        shim_count(&r->counters, atomic_load(&r->not_kept), 1);
    span->kind = (uint8_t)kind;
    span->status = SHIM_STATUS_UNSET;
    span->status_has_text = false;
    span->context = ret_context->span;
    uint32_t generation =
        generation_of(atomic_load_explicit(&span->state, memory_order_relaxed)) + 1;
    ret_context->live = (struct shim_span_ref){span->slot.index, generation};
    if (!has_parent || parent->span.is_remote || parent->local_root.slot == 0)
        ret_context->local_root = ret_context->live;
    if (span->recording) {
        span->has_parent = has_parent;
        span->parent_is_remote = parent->span.is_remote;
        memcpy(span->parent_span_id, parent->span.span_id, sizeof(span->parent_span_id));
        span->attribute_count = span->event_count = span->link_count = 0;
        span->attributes_dropped = span->events_dropped = span->links_dropped = 0;
        span->keys = 0;
        span->chunk = NULL;
        span->data = span->inline_data;
        span->used = 0;
        span->room = SHIM_SPAN_INLINE_ROOM;
        if (ret_context->carried)
            put_trace_state(span, ret_context->carried);
        shim_span_set_name(span, name);
        if (ret_context->carried && r->baggage_attributes.len)
            add_baggage(span, ret_context->carried);
        if (r->stacks)
            have_exporter(); /* it loads libunwind while the span runs */
        span->start_ns = shim_clock_now();
    }
    atomic_store_explicit(&span->state, state_of(generation), memory_order_release);
    return span;
}

static uint64_t unix_time(uint64_t monotonic_ns)
{
    return monotonic_ns +
           (uint64_t)atomic_load_explicit(&shim_recorder.clock_offset, memory_order_relaxed);
}

uint64_t shim_span_now(void)
{
    return unix_time(shim_clock_now());
}

static uint8_t *put_count(uint8_t *p, uint8_t tag, uint32_t count)
{
    if (count == 0)
        return p;
    *p++ = tag;
    return shim_wire_put_varint(p, count);
}

/* The fields whose values are known at the end; at most SHIM_SPAN_HEAD_MAX bytes. */
static uint8_t *put_span_head(uint8_t *p, const struct shim_span *span, uint64_t end_ns)
{
    uint64_t start_unix = unix_time(span->start_ns);
    *p++ = SHIM_WIRE_TAG(1, SHIM_WIRE_LEN);
    *p++ = 16;
    p = shim_wire_put_bytes(p, span->context.trace_id, 16);
    *p++ = SHIM_WIRE_TAG(2, SHIM_WIRE_LEN);
    *p++ = 8;
    p = shim_wire_put_bytes(p, span->context.span_id, 8);
    if (span->has_parent) {
        *p++ = SHIM_WIRE_TAG(4, SHIM_WIRE_LEN);
        *p++ = 8;
        p = shim_wire_put_bytes(p, span->parent_span_id, 8);
    }
    *p++ = SHIM_WIRE_TAG(6, SHIM_WIRE_VARINT);
    *p++ = span->kind;
    *p++ = SHIM_WIRE_TAG(7, SHIM_WIRE_FIXED64);
    p = shim_wire_put_fixed64(p, start_unix);
    *p++ = SHIM_WIRE_TAG(8, SHIM_WIRE_FIXED64);
    p = shim_wire_put_fixed64(p, start_unix + (end_ns - span->start_ns));
    p = put_count(p, SHIM_WIRE_TAG(10, SHIM_WIRE_VARINT), span->attributes_dropped);
    p = put_count(p, SHIM_WIRE_TAG(12, SHIM_WIRE_VARINT), span->events_dropped);
    p = put_count(p, SHIM_WIRE_TAG(14, SHIM_WIRE_VARINT), span->links_dropped);
    if (span->status != SHIM_STATUS_UNSET && !span->status_has_text) {
        *p++ = SHIM_WIRE_TAG(15, SHIM_WIRE_LEN);
        *p++ = 2;
        *p++ = SHIM_WIRE_TAG(3, SHIM_WIRE_VARINT);
        *p++ = span->status;
    }
    p = shim_wire_put_varint(p, 16 << 3 | SHIM_WIRE_FIXED32);
    return shim_wire_put_fixed32(p, span->context.flags | 0x100u |
                                        (span->parent_is_remote ? 0x200u : 0));
}

/* A chunk with `need` bytes of room for this thread, now in its hands. */
static struct shim_chunk *take_chunk(struct shim_thread *thread, size_t need, bool *ret_shared)
{
    struct shim_pool *pool = &shim_recorder.pool;
    struct shim_chunk *chunk = atomic_exchange_explicit(&thread->chunk, NULL, memory_order_acquire);
    *ret_shared = false;
    if (!chunk && shim_pool_is_tight(pool)) {
        *ret_shared = true;
        chunk = shim_recorder_take_shared();
    }
    if (chunk && chunk->used + need > SHIM_CHUNK_ROOM) {
        shim_recorder_post(chunk);
        chunk = NULL;
    }
    return chunk ? chunk : shim_pool_take(pool);
}

static void put_chunk_back(struct shim_thread *thread, struct shim_chunk *chunk, bool shared)
{
    if (shared) {
        shim_recorder_share(chunk);
        return;
    }
    /* A signal handler may have recorded meanwhile and left a chunk of its own. */
    chunk = atomic_exchange_explicit(&thread->chunk, chunk, memory_order_acq_rel);
    if (chunk)
        shim_recorder_share(chunk);
}

static bool queue_is_full(const struct shim_chunk *chunk)
{
    struct shim_recorder *r = &shim_recorder;
    return r->queue_limit != 0 &&
           atomic_load_explicit(&r->waiting, memory_order_relaxed) + chunk->spans >= r->queue_limit;
}

static void record(struct shim_thread *thread, const struct shim_span *span, uint64_t end_ns)
{
    struct shim_recorder *r = &shim_recorder;
    bool shared;
    struct shim_chunk *chunk =
        !thread ? NULL
                : take_chunk(thread, SHIM_RECORD_HEAD + SHIM_SPAN_HEAD_MAX + span->used, &shared);
    if (!chunk) {
        shim_count(&r->counters, SHIM_COUNTER_DROPPED_QUEUE_FULL, 1);
        return;
    }
    if (queue_is_full(chunk)) {
        shim_count(&r->counters, SHIM_COUNTER_DROPPED_QUEUE_FULL, 1);
        put_chunk_back(thread, chunk, shared);
        return;
    }
    uint8_t *start = chunk->data + chunk->used;
    uint8_t *p = put_span_head(start + SHIM_RECORD_HEAD, span, end_ns);
    p = shim_wire_put_bytes(p, span->data, span->used);
    size_t len = (size_t)(p - start) - SHIM_RECORD_HEAD;
    start[0] = SHIM_RECORD_TAG;
    start[1] = (uint8_t)(len | 0x80);
    start[2] = (uint8_t)(len >> 7 | 0x80);
    start[3] = (uint8_t)(len >> 14 & 0x7f);
    chunk->used += (uint32_t)(p - start);
    chunk->spans++;
    count_own(&thread->recorded);
    if (chunk->spans >= r->batch_size)
        shim_recorder_post(chunk);
    else
        put_chunk_back(thread, chunk, shared);

    have_exporter();
}

/* The addresses go along with the record; the exporter makes text of them. */
static void take_stack(struct shim_span *span, uint64_t end_ns)
{
    struct shim_recorder *r = &shim_recorder;
    bool slow = r->stacks_after_ns != 0 && end_ns - span->start_ns >= r->stacks_after_ns;
    if (!slow && span->status != SHIM_STATUS_ERROR)
        return;
    int (*backtrace)(void **, int) = atomic_load_explicit(&r->backtrace, memory_order_acquire);
    void *frames[STACK_FRAMES_MAX];
    int count = backtrace ? backtrace(frames, STACK_FRAMES_MAX) : 0;
    if (count <= 0 || !shim_span_add_stack(span, frames, (unsigned)count))
        shim_count(&r->counters, SHIM_COUNTER_STACKS_DROPPED, 1);
}

/* Gives back what a held span had; references to it are stale from here on. */
static void retire(struct shim_thread *thread, struct shim_span *span, struct shim_chunk *own_chunk)
{
    uint32_t generation = generation_of(atomic_load_explicit(&span->state, memory_order_relaxed));
    atomic_store_explicit(&span->state, state_of(generation + 1), memory_order_release);
    if (own_chunk)
        shim_pool_give_back(&shim_recorder.pool, own_chunk);
    give_slot_back(thread, span);
}

void shim_span_end_held(struct shim_thread *thread, struct shim_span *span)
{
    if (!span->recording) {
        retire(thread, span, NULL);
        return;
    }
    uint64_t end_ns = shim_clock_now();
    if (shim_recorder.stacks)
        take_stack(span, end_ns);
    record(thread, span, end_ns);
    retire(thread, span, span->chunk);
}

void shim_span_release(struct shim_span *span)
{
    uint64_t seen = atomic_load_explicit(&span->state, memory_order_relaxed);
    uint64_t free_again = seen & ~(uint64_t)SHIM_SPAN_HELD;
    if (!(seen & SHIM_SPAN_END_WANTED) &&
        atomic_compare_exchange_strong_explicit(&span->state, &seen, free_again,
                                                memory_order_release, memory_order_relaxed))
        return;
    shim_span_end_held(shim_thread_self(), span); /* somebody wanted to, meanwhile */
}

void shim_span_end_ref(struct shim_thread *thread, struct shim_span_ref ref)
{
    struct shim_span *span = shim_slab_get(&shim_recorder.spans, ref.slot);
    while (is_current(span, ref)) {
        if (hold(span, ref.generation)) {
            shim_span_end_held(thread, span);
            return;
        }
        /* The holder was stopped in mid-write: he is to end it. */
        uint64_t seen = state_of(ref.generation) | SHIM_SPAN_HELD;
        if (atomic_compare_exchange_strong(&span->state, &seen, seen | SHIM_SPAN_END_WANTED) ||
            (seen & SHIM_SPAN_END_WANTED))
            return;
    }
}
