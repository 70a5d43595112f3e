/* A thread's current context: scopes, and what is current below them. Knows no library and no
 * linker. Each thread works on its own state; nothing here is shared. */
#include "trace/thread.h"

#include "trace/recorder.h"
#include "trace/span.h"

#include <pthread.h>

__thread struct shim_thread *shim_thread_tls;

static const struct shim_context no_context;

/* Ends the innermost scopes down to `depth`. */
static void cut_scopes(struct shim_thread *thread, unsigned depth)
{
    while (thread->depth > depth) {
        thread->depth--;
        shim_context_fini(&thread->scope[thread->depth].context);
    }
}

/* The stack grows downwards: a scope that is still open belongs to a caller, whose frame lies
 * above. */
static void cut_abandoned(struct shim_thread *thread, const void *frame)
{
    while (thread->depth > 0) {
        const void *scope_frame = thread->scope[thread->depth - 1].frame;
        if (!scope_frame || scope_frame > frame)
            return;
        cut_scopes(thread, thread->depth - 1);
    }
}

const struct shim_context *shim_thread_current(struct shim_thread *thread, const void *frame)
{
    if (!thread)
        return &no_context;
    cut_abandoned(thread, frame);
    if (thread->depth > 0)
        return &thread->scope[thread->depth - 1].context;
    return &thread->ambient;
}

unsigned shim_thread_enter(struct shim_thread *thread, const void *frame,
                           const struct shim_context *context)
{
    if (frame)
        cut_abandoned(thread, frame);
    if (thread->depth == SHIM_SCOPES_MAX) {
        shim_count(&shim_recorder.counters, SHIM_COUNTER_SCOPES_DROPPED, 1);
        return 0;
    }
    struct shim_scope *scope = &thread->scope[thread->depth];
    shim_context_copy(&scope->context, context);
    scope->frame = frame;
    thread->depth++;
    return thread->depth;
}

void shim_thread_leave(struct shim_thread *thread, unsigned token)
{
    if (token != 0 && token <= thread->depth)
        cut_scopes(thread, token - 1);
}

void shim_thread_set_ambient(struct shim_thread *thread, enum shim_ambient_kind kind,
                             const struct shim_context *context, const void *owner)
{
    shim_context_fini(&thread->ambient);
    thread->ambient_kind = kind;
    thread->ambient_owner = owner;
    if (context)
        shim_context_copy(&thread->ambient, context);
}

void shim_thread_at_wait(struct shim_thread *thread)
{
    if (thread->ambient_kind == SHIM_AMBIENT_INHERITED &&
        !shim_span_ref_has_ended(thread->ambient.local_root))
        return;
    shim_thread_set_ambient(thread, SHIM_AMBIENT_NONE, NULL, NULL);
}
