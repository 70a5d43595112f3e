/* Writes a line for a terminal piece by piece: counts columns, cuts at the width, and lets nothing
 * through that a terminal would obey. Knows no spans. Any thread. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define SHIM_PEN_PLAIN  ""
#define SHIM_PEN_BOLD   "\x1b[1m"
#define SHIM_PEN_DIM    "\x1b[2m"
#define SHIM_PEN_RED    "\x1b[31m"
#define SHIM_PEN_GREEN  "\x1b[32m"
#define SHIM_PEN_YELLOW "\x1b[33m"
#define SHIM_PEN_BLUE   "\x1b[34m"
#define SHIM_PEN_PINK   "\x1b[35m"
#define SHIM_PEN_CYAN   "\x1b[36m"

struct shim_pen {
    struct shim_buf *buf;
    bool colour;
    unsigned width;  /* 0: lines are never cut */
    unsigned column; /* of the line so far */
    bool cut;        /* the rest of this line is left out */
};

/* Adds text in a colour (SHIM_PEN_*); control characters and what is not UTF-8 become '?'. */
void shim_pen_put(struct shim_pen *pen, const char *colour, struct shim_str text);
void shim_pen_put_text(struct shim_pen *pen, const char *colour, const char *text);
void shim_pen_put_number(struct shim_pen *pen, const char *colour, int64_t number);

/* A length of time in at most 8 columns: "840 ns", "12.3 µs", "14.2 ms", "1.31 s", "2m 05s", "26h
 * 03m". */
void shim_pen_put_time(struct shim_pen *pen, const char *colour, const char *sign, uint64_t ns);

/* Spaces up to a column. */
void shim_pen_tab(struct shim_pen *pen, unsigned column);
void shim_pen_newline(struct shim_pen *pen);
