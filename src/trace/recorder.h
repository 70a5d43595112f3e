/* The process's one recorder: the memory for spans, its threads, its accounting. Spans of all
 * threads meet here and nowhere else. Set up by shim.c; the memory itself is mapped at the first
 * span. */
#pragma once

#include "base/counters.h"
#include "base/pool.h"
#include "base/slab.h"
#include "config/config.h"
#include "trace/sampler.h"
#include "trace/thread.h"

struct shim_recorder {
    struct shim_counters counters;
    struct shim_pool pool;
    struct shim_slab spans;   /* struct shim_span */
    struct shim_slab threads; /* struct shim_thread */
    struct shim_sampler sampler;
    struct shim_span_limits limits;

    size_t memory_limit;
    uint32_t queue_limit; /* spans waiting for the exporter; 0: the memory limit alone */
    uint32_t batch_size;  /* spans that are worth waking the exporter for */
    struct shim_str baggage_attributes; /* globs: baggage keys that are copied onto spans */
    _Atomic bool records;               /* false: contexts are made and sent, spans are not kept */
    _Atomic unsigned not_kept; /* enum shim_counter: what a span that is not kept counts as */

    _Atomic int pid;              /* of the process that records, once it does */
    _Atomic int state;            /* of the memory; recorder.c knows its values */
    _Atomic int64_t clock_offset; /* wall clock minus CLOCK_MONOTONIC */
    _Atomic uint64_t waiting;     /* spans posted and not yet taken by the exporter */
    _Atomic uint32_t doorbell;    /* futex: the exporter sleeps on it */
    _Atomic uint32_t exporter;    /* 0: not started, 1: has been */
    uint64_t stacks_after_ns; /* call stacks for spans that ran longer; 0: for failed ones only */
    bool stacks;
    _Atomic(int (*)(void **, int)) backtrace; /* NULL: libunwind not there (yet) */

    /* Begins the exporter thread; called once, at the first recorded span of this process. */
    void (*start_exporter)(void);
    /* Sends what is finished, within that time. False: not all of it. */
    bool (*flush)(unsigned timeout_ms);
};

extern struct shim_recorder shim_recorder;

/* Takes over the settings. In the constructor. */
void shim_recorder_init(const struct shim_config *config);

/* Maps the memory on first use and starts over in a forked child. False: the process does not
 * trace. On every span's way in: two loads when all is well. */
bool shim_recorder_ready(void);

/* Whether what is recorded is this process's: not in a forked child before its own first span, and
 * never in a vforked one. */
bool shim_recorder_is_own(void);

/* Hands a chunk with records to the exporter, and wakes it when a batch has come together. */
void shim_recorder_post(struct shim_chunk *chunk);

/* The chunk that threads share which end or find memory tight. take: the caller's now, NULL when
 * there is none; share: puts one there, joined with what is there. */
struct shim_chunk *shim_recorder_take_shared(void);
void shim_recorder_share(struct shim_chunk *chunk);

/* Posts what threads have recorded so far. Exporter thread; any other at exit. */
void shim_recorder_harvest(void);

/* Exporter thread only. */
void shim_recorder_refresh_clock(void);

/* A counter of the whole process, per-thread ones summed in. Any thread. */
uint64_t shim_recorder_counted(enum shim_counter which);

/* Wakes the exporter. */
void shim_recorder_ring(void);
