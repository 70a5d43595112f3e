/* The response parser: however the bytes are cut, the result is the same, and it stays inside its
 * bounds. */
#include "base/http1.h"

#include <stdlib.h>

#define BODY_CAP 100

struct run {
    struct shim_http1_response response;
    char body[BODY_CAP];
    size_t used;
    int code;
    int end;
};

static void run(struct run *run, const char *data, size_t len, size_t step, bool head)
{
    shim_http1_init(&run->response, run->body, BODY_CAP, head);
    run->used = 0;
    run->code = 0;
    while (run->code == 0 && run->used < len) {
        size_t part = len - run->used < step ? len - run->used : step, used;
        run->code = shim_http1_feed(&run->response, data + run->used, part, &used);
        if (used > part || (run->code == 0 && used != part))
            abort();
        run->used += used;
    }
    run->end = shim_http1_eof(&run->response);
    if (run->code == 1 && run->end != 1)
        abort();
    if (run->code < 0 && run->end >= 0)
        abort();
}

static void compare(const struct run *a, const struct run *b)
{
    const struct shim_http1_response *x = &a->response, *y = &b->response;
    if (a->code != b->code || a->end != b->end || a->used != b->used)
        abort();
    if (x->status != y->status || x->keep_alive != y->keep_alive || x->chunked != y->chunked ||
        x->has_content_length != y->has_content_length || x->content_length != y->content_length ||
        x->body_len != y->body_len || x->body_total != y->body_total)
        abort();
    if (strcmp(x->content_type, y->content_type) || strcmp(x->retry_after, y->retry_after) ||
        strcmp(x->content_encoding, y->content_encoding) || memcmp(a->body, b->body, x->body_len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, cut;
    if (size < 1)
        return 0;
    bool head = data[0] & 1;
    size_t step = 1 + data[0] / 2 % 16;
    const char *text = (const char *)data + 1;
    run(&whole, text, size - 1, size, head);
    if (whole.response.body_len > BODY_CAP || whole.response.body_total > size ||
        whole.response.body_len > whole.response.body_total)
        abort();
    run(&cut, text, size - 1, 1, head);
    compare(&whole, &cut);
    run(&cut, text, size - 1, step, head);
    compare(&whole, &cut);
    return 0;
}
