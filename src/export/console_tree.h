/* A trace as text for people: a tree with a time line. Knows neither the terminal nor where the
 * text goes. Exporter thread only. */
#pragma once

#include "base/buf.h"
#include "export/record_read.h"

#include <stdbool.h>

enum shim_console_part {
    SHIM_CONSOLE_WHOLE,      /* the local root and all below it */
    SHIM_CONSOLE_UNFINISHED, /* printed before its root came */
    SHIM_CONSOLE_LATE,       /* more of a trace that was printed */
};

struct shim_console_trace {
    const char *service;
    Otlp__Span *const *span; /* all of one trace; ids of the right length; any order */
    unsigned count;          /* at least 1 */
    uint64_t origin_ns;      /* offsets count from here; 0: from the earliest span */
    enum shim_console_part part;
};

struct shim_console_style {
    bool colour;
    unsigned width; /* columns, longer lines are cut; 0: never */
};

/* Whether the span has no parent in this process: it has none, or a remote one. */
bool shim_console_is_root(const Otlp__Span *span);

/* Appends the trace to `buf`; rows that do not fit are left out, which the last row then says. 0 or
 * -ENOMEM. */
int shim_console_format(struct shim_buf *buf, const struct shim_console_trace *trace,
                        const struct shim_console_style *style);
