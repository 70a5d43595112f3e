/* What each thread keeps: its current context, the chunk it records into, its random ids. Found by
 * one initial-exec thread-local pointer. Made on a thread's first need, given back when it ends. A
 * thread's own state is touched by that thread (and by signal handlers on it) alone; the chunk
 * changes hands by exchange. */
#pragma once

#include "base/pool.h"
#include "base/random.h"
#include "base/slab.h"
#include "trace/context.h"

#define SHIM_SCOPES_MAX 16

/* A context made current for the time of a call. `frame` is the stack frame of the function that
 * entered it: one that was left by longjmp or cancellation is told by frames at or below it running
 * again. */
struct shim_scope {
    const void *frame;
    struct shim_context context;
};

/* What may be current below all scopes; bits. */
enum shim_ambient {
    SHIM_AMBIENT_INHERITED = 1, /* from the thread that made this one */
    SHIM_AMBIENT_CONTINUATION =
        2, /* of a transfer that an event loop has just been told of; goes first */
};

struct shim_thread {
    struct shim_slot slot;
    _Atomic(struct shim_chunk *) chunk; /* NULL: none, or in other hands at the moment */
    _Atomic(void *) spare_span;
    struct shim_random random;
    unsigned ambient; /* enum shim_ambient; read on every wait */
    struct shim_context inherited;
    struct shim_context continuation;
    const void *continuation_owner; /* the multi handle */
    unsigned depth;
    struct shim_scope scope[SHIM_SCOPES_MAX];
    /* Spans by fate, summed over all threads when somebody asks; never reset but in a forked child.
     */
    _Atomic uint64_t started, unsampled, recorded;
};

extern __thread struct shim_thread *shim_thread_tls __attribute__((tls_model("initial-exec")));

/* True in the exporter thread: what it does is not the host's, and is not traced. */
extern __thread bool shim_thread_is_ours __attribute__((tls_model("initial-exec")));

/* This thread's state, made if need be. NULL: no memory, the process does not trace, or the thread
 * is ours. */
struct shim_thread *shim_thread_self(void);

/* The frame of the calling function, for scopes. */
#define SHIM_FRAME() __builtin_frame_address(0)

/* The context that is current for a function with this frame; never NULL, possibly without a valid
 * span. Borrowed: valid until this thread's next change of scope. `thread` may be NULL. */
const struct shim_context *shim_thread_current(struct shim_thread *thread, const void *frame);

/* Makes a copy of `context` current until leave. Returns a token for leave; 0 when too deep
 * (counted; leave takes it). frame NULL: not bound to a frame, for scopes that outlive the function
 * that opens them. */
unsigned shim_thread_enter(struct shim_thread *thread, const void *frame,
                           const struct shim_context *context);
/* Ends that scope and any that were opened in it and never left. */
void shim_thread_leave(struct shim_thread *thread, unsigned token);

/* In a new thread: what its maker's context was is current below all scopes. */
void shim_thread_inherit(struct shim_thread *thread, const struct shim_context *context);
/* What an event loop does from here on belongs to `context`, until the same owner, or a wait, ends
 * that. */
void shim_thread_continue(struct shim_thread *thread, const struct shim_context *context,
                          const void *owner);
/* owner NULL: whosever it is. */
void shim_thread_end_continuation(struct shim_thread *thread, const void *owner);
/* As when it was made. */
void shim_thread_forget(struct shim_thread *thread);

/* The thread is about to wait for something: a continuation ends, and so does an inherited context
 * whose local root span has ended, unless the wait is part of the thread's work. */
void shim_thread_at_wait(struct shim_thread *thread, bool works);
