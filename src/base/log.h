/* The one way to say something: nowhere, stderr, syslog or a file, by OTELSHIM_LOG. Each shared
 * object has its own copy of the sink, set from the configuration. Leaf. Only shim.c and the
 * exporter's worker log. */
#pragma once

#include <stdbool.h>

enum shim_log_level {
    SHIM_LOG_NONE,
    SHIM_LOG_ERROR,
    SHIM_LOG_WARN,
    SHIM_LOG_INFO,
    SHIM_LOG_DEBUG,
};

/* target: NULL or "" = nowhere, "stderr", "syslog", else a path that is appended to (created 0600,
 * no symbolic link followed). Level: what is more detailed is left out. Opens nothing yet. */
void shim_log_init(const char *target, enum shim_log_level level);

bool shim_log_enabled(enum shim_log_level level);

/* One line "otelshim: [pid] <level>: <message>" in a single write; preserves errno. The descriptor
 * of a file is opened per line and closed again: hosts close and reuse everything. Does nothing
 * when the level is not wanted. Not async-signal-safe (vsnprintf). */
void shim_log(enum shim_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One line to stderr whatever the target is: only for unreadable settings. */
void shim_log_always(const char *format, ...) __attribute__((format(printf, 1, 2)));
