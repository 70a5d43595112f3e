/* Time: CLOCK_MONOTONIC for everything measured, plus an offset to the wall clock that is refreshed
 * from time to time, so that a stepping clock never makes a span negative. Leaf. Any thread,
 * async-signal-safe. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t shim_clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Nanoseconds to add to CLOCK_MONOTONIC for the time since the epoch, as of now. */
static inline int64_t shim_clock_measure_offset(void)
{
    struct timespec wall;
    uint64_t before = shim_clock_now();
    clock_gettime(CLOCK_REALTIME, &wall);
    uint64_t after = shim_clock_now();
    return (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec -
           (int64_t)(before + (after - before) / 2);
}
