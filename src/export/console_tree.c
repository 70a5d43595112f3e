/* Draws a trace as a tree: when, how long, a time line, then names indented by parent. Spans come
 * in any order, and broken ones too: parents that are missing, twice the same id, circles. Knows
 * neither the terminal nor the batch. Exporter thread only. */
#include "export/console_tree.h"

#include "export/console_pen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE         UINT32_MAX
#define BAR_CELLS    20u
#define BAR_MIN      80u /* narrower terminals get no time line */
#define DEPTH_DRAWN  24u /* deeper spans are not indented further */
#define FRAMES_DRAWN 6u
#define OWN_DRAWN    3u /* attributes of a span that is none of the known kinds */
#define TREE_COLUMN  (2u + 9u + 1u + 9u + 2u)

/* Kept free for the row that says what is missing. */
#define LAST_ROW 128u

struct node {
    const Otlp__Span *span;
    uint32_t parent;
    uint32_t first_child;
    uint32_t next; /* sibling */
    uint32_t depth;
    uint32_t lines; /* bit n: a vertical line runs through the column of depth n */
    bool drawn;
};

struct by_id {
    uint8_t id[8];
    uint32_t node;
};

struct tree {
    const struct shim_console_trace *trace;
    struct node *node; /* by start */
    uint64_t origin_ns;
    uint64_t length_ns; /* of the time line, at least 1 */
    unsigned left_out;
    struct shim_pen pen;
    unsigned column; /* where names begin */
};

bool shim_console_is_root(const Otlp__Span *span)
{
    static const uint8_t zero[8];

    return span->parent_span_id.len != sizeof(zero) ||
           memcmp(span->parent_span_id.data, zero, sizeof(zero)) == 0 ||
           (span->flags & 0x300) == 0x300;
}

static int compare_start(const void *a, const void *b)
{
    uint64_t x = ((const struct node *)a)->span->start_time_unix_nano;
    uint64_t y = ((const struct node *)b)->span->start_time_unix_nano;
    return (x > y) - (x < y);
}

static int compare_id(const void *a, const void *b)
{
    return memcmp(((const struct by_id *)a)->id, ((const struct by_id *)b)->id, 8);
}

/* Children hang on their parents in the order of their starts. */
static void connect(struct tree *tree, struct by_id *index)
{
    unsigned count = tree->trace->count;

    for (uint32_t i = 0; i < count; i++) {
        memcpy(index[i].id, tree->node[i].span->span_id.data, 8);
        index[i].node = i;
    }
    qsort(index, count, sizeof(*index), compare_id);
    for (uint32_t i = count; i-- > 0;) {
        struct node *node = &tree->node[i];
        struct by_id wanted;
        const struct by_id *found = NULL;

        if (!shim_console_is_root(node->span)) {
            memcpy(wanted.id, node->span->parent_span_id.data, 8);
            found = bsearch(&wanted, index, count, sizeof(*index), compare_id);
        }
        node->parent = found && found->node != i ? found->node : NONE;
        if (node->parent != NONE) {
            node->next = tree->node[node->parent].first_child;
            tree->node[node->parent].first_child = i;
        }
    }
}

static uint64_t end_of(const Otlp__Span *span)
{
    return span->end_time_unix_nano > span->start_time_unix_nano ? span->end_time_unix_nano
                                                                 : span->start_time_unix_nano;
}

static int tree_init(struct tree *tree, const struct shim_console_trace *trace)
{
    struct by_id *index = calloc(trace->count, sizeof(*index));
    uint64_t end = 0;

    tree->trace = trace;
    tree->node = calloc(trace->count, sizeof(*tree->node));
    if (!tree->node || !index) {
        free(index);
        free(tree->node);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < trace->count; i++) {
        tree->node[i].span = trace->span[i];
        tree->node[i].first_child = NONE;
        tree->node[i].next = NONE;
        if (end_of(trace->span[i]) > end)
            end = end_of(trace->span[i]);
    }
    qsort(tree->node, trace->count, sizeof(*tree->node), compare_start);
    connect(tree, index);
    free(index);
    tree->origin_ns = tree->node[0].span->start_time_unix_nano;
    if (trace->origin_ns > 0 && trace->origin_ns < tree->origin_ns)
        tree->origin_ns = trace->origin_ns;
    tree->length_ns = end > tree->origin_ns ? end - tree->origin_ns : 1;
    return 0;
}

static bool has_failed(const Otlp__Span *span)
{
    return span->status && span->status->code == 2;
}

static const char *kind_name(int32_t kind)
{
    static const char *const name[] = {"", "", "server", "client", "producer", "consumer"};
    return kind >= 0 && kind < 6 ? name[kind] : "?";
}

static const char *kind_colour(int32_t kind)
{
    static const char *const colour[] = {SHIM_PEN_BLUE, SHIM_PEN_BLUE, SHIM_PEN_GREEN,
                                         SHIM_PEN_CYAN, SHIM_PEN_PINK, SHIM_PEN_PINK};
    return kind >= 0 && kind < 6 ? colour[kind] : SHIM_PEN_BLUE;
}

/* Position on the time line in half cells. Floating point: two times may be 2^64 ns apart. */
static unsigned on_line(const struct tree *tree, uint64_t ns)
{
    return (unsigned)((double)(ns - tree->origin_ns) / (double)tree->length_ns * 2 * BAR_CELLS);
}

static void draw_bar(struct tree *tree, const Otlp__Span *span)
{
    static const char *const cell[] = {" ", "╸", "╺", "━"};
    char text[BAR_CELLS * 3 + 1];
    struct shim_buf buf;
    unsigned from = on_line(tree, span->start_time_unix_nano);
    unsigned to = on_line(tree, end_of(span));

    if (from >= 2 * BAR_CELLS)
        from = 2 * BAR_CELLS - 1;
    if (to <= from)
        to = from + 1;
    shim_buf_init(&buf, text, sizeof(text));
    for (unsigned i = 0; i < 2 * BAR_CELLS; i += 2) {
        unsigned left = i >= from && i < to;
        unsigned right = i + 1 >= from && i + 1 < to;
        shim_buf_add_text(&buf, cell[left | right << 1]);
    }
    shim_pen_put(&tree->pen, has_failed(span) ? SHIM_PEN_RED : kind_colour(span->kind),
                 shim_str_n(text, buf.len));
    shim_pen_put_text(&tree->pen, SHIM_PEN_PLAIN, "  ");
}

/* The lines from parents to children left of a name; `below`: left of what stands under the name.
 */
static void draw_branch(struct tree *tree, const struct node *node, bool below)
{
    unsigned depth = node->depth < DEPTH_DRAWN ? node->depth : DEPTH_DRAWN;

    for (unsigned i = 1; i < depth; i++)
        shim_pen_put_text(&tree->pen, SHIM_PEN_DIM, node->lines & 1u << i ? "│  " : "   ");
    if (depth > 0 && !below)
        shim_pen_put_text(&tree->pen, SHIM_PEN_DIM, node->next != NONE ? "├─ " : "└─ ");
    else if (depth > 0)
        shim_pen_put_text(&tree->pen, SHIM_PEN_DIM, node->next != NONE ? "│  " : "   ");
    if (below)
        shim_pen_put_text(&tree->pen, SHIM_PEN_DIM, node->first_child != NONE ? "│  " : "   ");
}

static void draw_status(struct shim_pen *pen, const Otlp__Span *span)
{
    int64_t code = shim_record_number(span, "http.response.status_code", 0);
    const char *type = shim_record_text(span, "error.type");
    char code_text[24];

    snprintf(code_text, sizeof(code_text), "%" PRId64, code);
    if (code > 0) {
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, " ");
        shim_pen_put_text(pen,
                          code >= 400   ? SHIM_PEN_RED
                          : code >= 300 ? SHIM_PEN_YELLOW
                                        : SHIM_PEN_GREEN,
                          code_text);
    }
    if (type && code > 0 && strcmp(type, code_text) == 0)
        type = NULL;
    if (!has_failed(span) && !type)
        return;
    shim_pen_put_text(pen, SHIM_PEN_RED, " ✗");
    if (type) {
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, " ");
        shim_pen_put_text(pen, SHIM_PEN_RED, type);
    }
    if (span->status && span->status->message[0]) {
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, " ");
        shim_pen_put_text(pen, SHIM_PEN_RED, span->status->message);
    }
}

/* An attribute of the application's own, as far as it is simple. */
static void draw_own(struct shim_pen *pen, const Otlp__KeyValue *attribute)
{
    const Otlp__AnyValue *value = attribute->value;

    shim_pen_put_text(pen, SHIM_PEN_PLAIN, " ");
    shim_pen_put_text(pen, SHIM_PEN_DIM, attribute->key);
    shim_pen_put_text(pen, SHIM_PEN_DIM, "=");
    switch (value ? value->value_case : OTLP__ANY_VALUE__VALUE__NOT_SET) {
    case OTLP__ANY_VALUE__VALUE_STRING_VALUE:
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, value->string_value);
        break;
    case OTLP__ANY_VALUE__VALUE_INT_VALUE:
        shim_pen_put_number(pen, SHIM_PEN_PLAIN, value->int_value);
        break;
    case OTLP__ANY_VALUE__VALUE_BOOL_VALUE:
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, value->bool_value ? "true" : "false");
        break;
    default:
        shim_pen_put_text(pen, SHIM_PEN_DIM, "…");
    }
}

static bool is_background(const char *key)
{
    return strncmp(key, "thread.", 7) == 0 || strncmp(key, "code.", 5) == 0 ||
           strncmp(key, "messaging.", 10) == 0 || strcmp(key, "error.type") == 0;
}

/* What the span was about: the URL, else the path, else the server, else the first attributes it
 * has. */
static void draw_subject(struct shim_pen *pen, const Otlp__Span *span)
{
    const char *url = shim_record_text(span, "url.full");
    const char *path = shim_record_text(span, "url.path");
    const char *query = shim_record_text(span, "url.query");
    const char *server = shim_record_text(span, "server.address");
    int64_t port = shim_record_number(span, "server.port", 0);
    int64_t resent = shim_record_number(span, "http.request.resend_count", 0);

    if (url || path || server)
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, " ");
    if (url) {
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, url);
    } else if (path) {
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, path);
        if (query && query[0]) {
            shim_pen_put_text(pen, SHIM_PEN_PLAIN, "?");
            shim_pen_put_text(pen, SHIM_PEN_PLAIN, query);
        }
    } else if (server) {
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, server);
        if (port > 0) {
            shim_pen_put_text(pen, SHIM_PEN_PLAIN, ":");
            shim_pen_put_number(pen, SHIM_PEN_PLAIN, port);
        }
    } else {
        unsigned drawn = 0;
        for (size_t i = 0; i < span->n_attributes && drawn < OWN_DRAWN; i++) {
            if (is_background(span->attributes[i]->key))
                continue;
            draw_own(pen, span->attributes[i]);
            drawn++;
        }
    }
    if (resent > 0) {
        shim_pen_put_text(pen, SHIM_PEN_DIM, " resent ×");
        shim_pen_put_number(pen, SHIM_PEN_DIM, resent);
    }
    if (span->n_links > 0) {
        shim_pen_put_text(pen, SHIM_PEN_DIM, " links ×");
        shim_pen_put_number(pen, SHIM_PEN_DIM, (int64_t)span->n_links);
    }
}

static void draw_stack(struct tree *tree, const struct node *node)
{
    struct shim_str rest = shim_str(shim_record_text(node->span, "code.stacktrace"));
    struct shim_str frame;

    for (unsigned i = 0; shim_str_split(&rest, '\n', &frame) && frame.len > 0; i++) {
        shim_pen_tab(&tree->pen, tree->column);
        draw_branch(tree, node, true);
        if (i == FRAMES_DRAWN) {
            shim_pen_put_text(&tree->pen, SHIM_PEN_DIM, "…");
            shim_pen_newline(&tree->pen);
            return;
        }
        shim_pen_put_text(&tree->pen, SHIM_PEN_DIM, "at ");
        shim_pen_put(&tree->pen, SHIM_PEN_DIM, frame);
        shim_pen_newline(&tree->pen);
    }
}

static void draw_row(struct tree *tree, const struct node *node)
{
    const Otlp__Span *span = node->span;
    struct shim_pen *pen = &tree->pen;
    size_t mark = pen->buf->len;
    const char *kind = kind_name(span->kind);

    shim_pen_put_text(pen, SHIM_PEN_PLAIN, "  ");
    shim_pen_put_time(pen, SHIM_PEN_DIM, "+", span->start_time_unix_nano - tree->origin_ns);
    shim_pen_put_text(pen, SHIM_PEN_PLAIN, " ");
    shim_pen_put_time(pen, SHIM_PEN_PLAIN, "", end_of(span) - span->start_time_unix_nano);
    shim_pen_put_text(pen, SHIM_PEN_PLAIN, "  ");
    if (tree->column > TREE_COLUMN)
        draw_bar(tree, span);
    draw_branch(tree, node, false);
    shim_pen_put_text(pen, SHIM_PEN_BOLD, span->name[0] ? span->name : "(no name)");
    if (kind[0]) {
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, " ");
        shim_pen_put_text(pen, kind_colour(span->kind), kind);
    }
    draw_status(pen, span);
    draw_subject(pen, span);
    shim_pen_newline(pen);
    draw_stack(tree, node);
    if (!pen->buf->truncated)
        return;
    pen->buf->len = mark; /* whole rows only */
    pen->buf->data[mark] = '\0';
    pen->buf->truncated = false;
    tree->left_out++;
}

/* Depth first without recursion: a chain of spans may be thousands long. What was drawn already
 * (circles) is passed over, so each span is drawn exactly once. */
static void draw_below(struct tree *tree, uint32_t root)
{
    uint32_t i = root;

    while (i != NONE) {
        struct node *node = &tree->node[i];
        uint32_t next = NONE;

        if (!node->drawn) {
            node->drawn = true;
            if (i != root) {
                const struct node *parent = &tree->node[node->parent];
                node->depth = parent->depth + 1;
                node->lines = parent->lines;
                if (parent->depth > 0 && parent->depth < DEPTH_DRAWN && parent->next != NONE)
                    node->lines |= 1u << parent->depth;
            }
            draw_row(tree, node);
            next = node->first_child;
        }
        while (next == NONE && i != root) {
            next = tree->node[i].next;
            if (next == NONE)
                i = tree->node[i].parent;
        }
        i = next;
    }
}

static void draw_head(struct tree *tree)
{
    const struct shim_console_trace *trace = tree->trace;
    struct shim_pen *pen = &tree->pen;
    char id[40];
    struct shim_buf buf;
    unsigned failed = 0;

    for (unsigned i = 0; i < trace->count; i++)
        failed += has_failed(trace->span[i]);
    shim_buf_init(&buf, id, sizeof(id));
    shim_buf_add_hex(&buf, trace->span[0]->trace_id.data, trace->span[0]->trace_id.len);
    shim_pen_put_text(pen, failed > 0 ? SHIM_PEN_RED : SHIM_PEN_GREEN, "●");
    shim_pen_put_text(pen, SHIM_PEN_PLAIN, " ");
    shim_pen_put_text(pen, SHIM_PEN_BOLD, trace->service);
    shim_pen_put_text(pen, SHIM_PEN_PLAIN, "  ");
    shim_pen_put_text(pen, SHIM_PEN_DIM, "trace ");
    shim_pen_put_text(pen, SHIM_PEN_YELLOW, id);
    shim_pen_put_text(pen, SHIM_PEN_PLAIN, "  ");
    shim_pen_put_number(pen, SHIM_PEN_PLAIN, trace->count);
    shim_pen_put_text(pen, SHIM_PEN_PLAIN, trace->count == 1 ? " span" : " spans");
    if (failed > 0) {
        shim_pen_put_text(pen, SHIM_PEN_PLAIN, ", ");
        shim_pen_put_number(pen, SHIM_PEN_RED, failed);
        shim_pen_put_text(pen, SHIM_PEN_RED, " failed");
    }
    if (trace->part == SHIM_CONSOLE_UNFINISHED)
        shim_pen_put_text(pen, SHIM_PEN_DIM, "  (unfinished)");
    else if (trace->part == SHIM_CONSOLE_LATE)
        shim_pen_put_text(pen, SHIM_PEN_DIM, "  (continued)");
    shim_pen_newline(pen);
}

int shim_console_format(struct shim_buf *buf, const struct shim_console_trace *trace,
                        const struct shim_console_style *style)
{
    struct tree tree = {.pen = {.buf = buf, .colour = style->colour, .width = style->width}};
    int rc = tree_init(&tree, trace);

    if (rc < 0)
        return rc;
    tree.column = TREE_COLUMN;
    if (style->width == 0 || style->width >= BAR_MIN)
        tree.column += BAR_CELLS + 2;
    buf->cap -= LAST_ROW;
    draw_head(&tree);
    for (uint32_t i = 0; i < trace->count; i++) {
        if (tree.node[i].parent == NONE)
            draw_below(&tree, i);
    }
    for (uint32_t i = 0; i < trace->count; i++) {
        if (!tree.node[i].drawn) { /* a circle: begins anywhere */
            tree.node[i].depth = 0;
            draw_below(&tree, i);
        }
    }
    buf->cap += LAST_ROW;
    buf->truncated = false;
    if (tree.left_out > 0) {
        shim_pen_put_text(&tree.pen, SHIM_PEN_DIM, "  … and spans that are not shown: ");
        shim_pen_put_number(&tree.pen, SHIM_PEN_DIM, tree.left_out);
        shim_pen_newline(&tree.pen);
    }
    shim_pen_newline(&tree.pen);
    free(tree.node);
    return 0;
}
