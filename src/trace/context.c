/* Reference counting of what travels beside the ids, and copies of contexts. See context.h.
 * Knows no header format. Any thread; allocates only in shim_carried_new and _alloc. */
#include "trace/context.h"

#include <stdlib.h>

struct shim_carried *shim_carried_alloc(size_t room)
{
    struct shim_carried *carried = malloc(sizeof(*carried) + room);
    if (!carried)
        return NULL;
    atomic_init(&carried->refs, 1);
    carried->debug = false;
    carried->tracestate = shim_str_n(carried->text, 0);
    carried->baggage = shim_str_n(carried->text, 0);
    return carried;
}

struct shim_carried *shim_carried_new(struct shim_str tracestate, struct shim_str baggage)
{
    if (tracestate.len == 0 && baggage.len == 0)
        return NULL;
    struct shim_carried *carried = shim_carried_alloc(tracestate.len + baggage.len);
    if (!carried)
        return NULL;
    if (tracestate.len > 0)
        memcpy(carried->text, tracestate.ptr, tracestate.len);
    if (baggage.len > 0)
        memcpy(carried->text + tracestate.len, baggage.ptr, baggage.len);
    carried->tracestate = shim_str_n(carried->text, tracestate.len);
    carried->baggage = shim_str_n(carried->text + tracestate.len, baggage.len);
    return carried;
}

struct shim_carried *shim_carried_ref(struct shim_carried *carried)
{
    if (carried)
        atomic_fetch_add_explicit(&carried->refs, 1, memory_order_relaxed);
    return carried;
}

void shim_carried_unref(struct shim_carried *carried)
{
    if (carried && atomic_fetch_sub_explicit(&carried->refs, 1, memory_order_acq_rel) == 1)
        free(carried);
}

void shim_context_copy(struct shim_context *ret_copy, const struct shim_context *context)
{
    *ret_copy = *context;
    shim_carried_ref(ret_copy->carried);
}

void shim_context_fini(struct shim_context *context)
{
    shim_carried_unref(context->carried);
    *context = (struct shim_context){0};
}

void shim_context_take_carried(struct shim_context *context, struct shim_carried *carried)
{
    shim_carried_unref(context->carried);
    context->carried = carried;
}
