/* A thread's current context: scopes, and what is current below them. Knows no library and no
 * linker. Each thread works on its own state; nothing here is shared. */
#include "trace/thread.h"

#include "trace/recorder.h"
#include "trace/span.h"

#include <pthread.h>

__thread struct shim_thread *shim_thread_tls;
__thread bool shim_thread_is_ours;

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
 * above. Those without a frame go with the one that they were opened in. */
static void cut_abandoned(struct shim_thread *thread, const void *frame)
{
    for (unsigned depth = thread->depth; depth > 0; depth--) {
        const void *scope_frame = thread->scope[depth - 1].frame;
        if (scope_frame > frame)
            return;
        if (scope_frame)
            cut_scopes(thread, depth - 1);
    }
}

const struct shim_context *shim_thread_current(struct shim_thread *thread, const void *frame)
{
    if (!thread)
        return &no_context;
    cut_abandoned(thread, frame);
    if (thread->depth > 0)
        return &thread->scope[thread->depth - 1].context;
    if (thread->ambient & SHIM_AMBIENT_CONTINUATION)
        return &thread->continuation;
    return &thread->inherited;
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

void shim_thread_inherit(struct shim_thread *thread, const struct shim_context *context)
{
    shim_context_fini(&thread->inherited);
    shim_context_copy(&thread->inherited, context);
    thread->ambient |= SHIM_AMBIENT_INHERITED;
}

static void end_inherited(struct shim_thread *thread)
{
    shim_context_fini(&thread->inherited);
    thread->ambient &= ~(unsigned)SHIM_AMBIENT_INHERITED;
}

void shim_thread_continue(struct shim_thread *thread, const struct shim_context *context,
                          const void *owner)
{
    shim_context_fini(&thread->continuation);
    shim_context_copy(&thread->continuation, context);
    thread->continuation_owner = owner;
    thread->ambient |= SHIM_AMBIENT_CONTINUATION;
}

void shim_thread_end_continuation(struct shim_thread *thread, const void *owner)
{
    if (!(thread->ambient & SHIM_AMBIENT_CONTINUATION))
        return;
    if (owner && owner != thread->continuation_owner)
        return;
    shim_context_fini(&thread->continuation);
    thread->ambient &= ~(unsigned)SHIM_AMBIENT_CONTINUATION;
}

void shim_thread_forget(struct shim_thread *thread)
{
    cut_scopes(thread, 0);
    shim_thread_end_continuation(thread, NULL);
    end_inherited(thread);
}

void shim_thread_at_wait(struct shim_thread *thread, bool works)
{
    shim_thread_end_continuation(thread, NULL);
    if (!works && (thread->ambient & SHIM_AMBIENT_INHERITED) &&
        shim_span_ref_has_ended(thread->inherited.local_root))
        end_inherited(thread);
}
