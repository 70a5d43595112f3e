/* Writes a line for a terminal. Knows no spans. Any thread. */
#include "export/console_pen.h"

#include "export/text.h"

#include <stdio.h>

#define TIME_COLUMNS 9

/* Characters that a terminal acts upon, or that turn the reading order of what follows. */
static bool is_harmful(const unsigned char *c, size_t len)
{
    if (len == 0)
        return true;
    if (len == 1)
        return c[0] < 0x20 || c[0] == 0x7f;
    if (len == 2)
        return c[0] == 0xc2 && c[1] < 0xa0;
    if (len == 3 && c[0] == 0xe2 && c[1] == 0x80)
        return (c[2] >= 0x8b && c[2] <= 0x8f) || (c[2] >= 0xa8 && c[2] <= 0xae);
    return len == 3 && c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa0 && c[2] <= 0xaf;
}

void shim_pen_put(struct shim_pen *pen, const char *colour, struct shim_str text)
{
    bool coloured = pen->colour && colour[0];

    if (pen->cut || text.len == 0)
        return;
    if (coloured)
        shim_buf_add_text(pen->buf, colour);
    for (size_t i = 0; i < text.len;) {
        size_t len = shim_text_sequence(text.ptr + i, text.len - i);
        size_t step = len > 0 ? len : 1;

        if (pen->width > 0 && pen->column + 1 >= pen->width && i + step < text.len) {
            shim_buf_add_text(pen->buf, "…");
            pen->column++;
            pen->cut = true;
            break;
        }
        if (is_harmful((const unsigned char *)text.ptr + i, len))
            shim_buf_add_char(pen->buf, '?');
        else
            shim_buf_add(pen->buf, shim_str_n(text.ptr + i, len));
        pen->column++;
        i += step;
    }
    if (coloured)
        shim_buf_add_text(pen->buf, "\x1b[0m");
    if (pen->width > 0 && pen->column >= pen->width)
        pen->cut = true;
}

void shim_pen_put_text(struct shim_pen *pen, const char *colour, const char *text)
{
    shim_pen_put(pen, colour, shim_str(text));
}

void shim_pen_put_number(struct shim_pen *pen, const char *colour, int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)number);
    shim_pen_put_text(pen, colour, text);
}

/* Three digits of value / unit; integers only, since the host's locale may write fractions with a
 * comma. */
static void three_digits(char *text, size_t size, uint64_t value, uint64_t unit, const char *name)
{
    if (value < 10 * unit)
        snprintf(text, size, "%u.%02u %s", (unsigned)(value / unit),
                 (unsigned)(value % unit * 100 / unit), name);
    else if (value < 100 * unit)
        snprintf(text, size, "%u.%u %s", (unsigned)(value / unit),
                 (unsigned)(value % unit * 10 / unit), name);
    else
        snprintf(text, size, "%u %s", (unsigned)(value / unit), name);
}

void shim_pen_put_time(struct shim_pen *pen, const char *colour, const char *sign, uint64_t ns)
{
    char number[24];
    char text[32];
    uint64_t s = ns / 1000000000;
    size_t columns;

    if (ns == 0)
        snprintf(number, sizeof(number), "0 ms");
    else if (ns < 1000)
        snprintf(number, sizeof(number), "%u ns", (unsigned)ns);
    else if (ns < 1000000)
        three_digits(number, sizeof(number), ns, 1000, "µs");
    else if (s < 1)
        three_digits(number, sizeof(number), ns, 1000000, "ms");
    else if (s < 100)
        three_digits(number, sizeof(number), ns, 1000000000, "s");
    else if (s < 6000)
        snprintf(number, sizeof(number), "%um %02us", (unsigned)(s / 60), (unsigned)(s % 60));
    else
        snprintf(number, sizeof(number), "%lluh %02um", (unsigned long long)(s / 3600),
                 (unsigned)(s / 60 % 60));
    snprintf(text, sizeof(text), "%s%s", sign, number);
    columns = strlen(text) - (strstr(text, "µ") ? 1 : 0);
    if (columns < TIME_COLUMNS)
        shim_pen_tab(pen, pen->column + TIME_COLUMNS - (unsigned)columns);
    shim_pen_put_text(pen, colour, text);
}

void shim_pen_tab(struct shim_pen *pen, unsigned column)
{
    while (pen->column < column && !pen->cut)
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, " ");
}

void shim_pen_newline(struct shim_pen *pen)
{
    shim_buf_add_char(pen->buf, '\n');
    pen->column = 0;
    pen->cut = false;
}
