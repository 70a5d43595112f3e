/* What libotelshim.so and libotelshim-exporter.so know of each other: one entry point, one table of
 * functions, one structure of borrowed pointers. Both sides compare the build first: after an
 * upgrade under a running process they may be of different builds, and then neither touches the
 * other's data. */
#pragma once

#include "base/counters.h"
#include "base/pool.h"
#include "config/config.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What the exporter works on; all of it lives in libotelshim.so and outlives the thread. */
struct shim_export_source {
    const struct shim_config *config;
    struct shim_counters *counters;
    struct shim_pool *pool;

    /* Asks all threads' unfinished chunks in: posts those with records to the pool. */
    void (*harvest)(void);
    /* Refreshes the offset between CLOCK_MONOTONIC and the wall clock. */
    void (*refresh_clock)(void);

    /* Around whatever takes the dynamic linker's locks: a host that forks meanwhile waits, within
     * bounds, or its child would find them taken for good. leave takes what enter returned. */
    int (*loader_enter)(void);
    void (*loader_leave)(int place);
    /* Spans posted and not yet dealt with; the exporter takes off what it has dealt with. */
    _Atomic uint64_t *waiting;
    /* Puts the handler that waits for the exporter at exit in front of those registered meanwhile
     * (those of a TLS library clean up under our thread otherwise). Idempotent work, so any number
     * of times. */
    void (*wait_at_exit)(void);

    /* Futex word: host threads add one and wake; the exporter sleeps on it. */
    _Atomic uint32_t *doorbell;
    /* What the host waits for: requests for a flush asked for and done. The second is a futex word
     * too. */
    _Atomic uint32_t *flush_wanted;
    _Atomic uint32_t *flush_done;
    /* What the exporter is doing, for a host that waits at exit. */
    _Atomic uint32_t *phase;

    /* Where the hook side finds unw_backtrace once call stacks are wanted and libunwind is loaded.
     */
    _Atomic(int (*)(void **, int)) *backtrace;
};

enum shim_export_phase {
    SHIM_EXPORT_STARTING,
    SHIM_EXPORT_IDLE,
    SHIM_EXPORT_CONNECTING, /* no connection to the collector yet */
    SHIM_EXPORT_SENDING,    /* connected, waiting for the network or the answer */
    SHIM_EXPORT_FAILED,     /* the thread is gone */
};

struct shim_exporter_api {
    const char *build; /* equal on both sides, or stand down */
    /* The exporter thread's whole life; returns only when it cannot begin: -Exxx. */
    int (*run)(const struct shim_export_source *source);
};

/* The one exported symbol of libotelshim-exporter.so. */
#define SHIM_EXPORTER_ENTRY "otelshim_exporter"
typedef const struct shim_exporter_api *(*shim_exporter_entry)(void);
