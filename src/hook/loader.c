/* Finds what we want of libc by walking the debugger's list of modules. The list has no lock, so
 * this is done once, at the start, while there is one thread. Must not call anything that another
 * module may have replaced: string functions of libc are replaced by sanitizers. Then the threads
 * inside the loader, any of them, and the forks, which run in whichever thread forks. */
#include "hook/loader.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "hook/elf.h"

#define INSIDE_MAX  32u
#define FORKING_MAX 8u
#define GONE_MAX    16u
#define PATIENCE_NS 50000000u

typedef int iterate_phdr(int (*visit)(struct dl_phdr_info *info, size_t size, void *data),
                         void *data);
typedef int find_object(void *address, struct dl_find_object *ret_object);

static iterate_phdr *_Atomic iterate;
static find_object *_Atomic finder; /* linking to it would keep us out of every libc before 2.35 */
static const struct link_map *_Atomic first;
static atomic_bool is_known, is_watching;

/* Threads by what pthread_self says, which is the same in a forked child; 0: free. No thread-local
 * storage, which may not be there yet. */
static _Atomic uintptr_t inside[INSIDE_MAX], forking[FORKING_MAX];
static atomic_bool was_alone;           /* the parent */
static atomic_bool is_forked, is_stuck; /* written in a child's only thread */
static const struct link_map *gone[GONE_MAX];
static unsigned gone_count;
static const unsigned *_Atomic thread_count; /* libc's own; NULL before 2.34 */

/* The program's dynamic section by what the kernel says of it; the loader has put its list there.
 */
static const struct link_map *first_module(void)
{
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
    size_t count = getauxval(AT_PHNUM);
    const ElfW(Dyn) *dynamic = NULL;
    uintptr_t base = 0;

    for (size_t i = 0; headers != NULL && i < count; i++)
        if (headers[i].p_type == PT_PHDR)
            base = (uintptr_t)headers - headers[i].p_vaddr;
    for (size_t i = 0; headers != NULL && i < count; i++)
        if (headers[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)(base + headers[i].p_vaddr);
    for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++)
        if (dynamic->d_tag == DT_DEBUG && dynamic->d_un.d_ptr != 0)
            return ((const struct r_debug *)dynamic->d_un.d_ptr)->r_map;
    return NULL;
}

/* The list does not tell where modules end; look-up does not ask. Programs at fixed addresses have
 * base 0 and the vdso's pointers are offsets: neither is libc. */
static uintptr_t find_in_libc(const char *name)
{
    for (const struct link_map *map = first; map != NULL; map = map->l_next) {
        struct shim_module module;
        const ElfW(Sym) * symbol;

        if (map->l_addr == 0 || shim_module_init_parts(&module, map->l_addr, map->l_addr,
                                                       UINTPTR_MAX, map->l_name, map->l_ld) < 0)
            continue;
        if (!shim_elf_is_named(&module, "libc.so.6"))
            continue;
        symbol = shim_elf_find(&module, name);
        return symbol != NULL ? shim_elf_address(&module, symbol) : 0;
    }
    return 0;
}

void shim_loader_init(void)
{
    if (atomic_load_explicit(&is_known, memory_order_acquire))
        return;
    atomic_store(&first, first_module());
    atomic_store(&iterate, (iterate_phdr *)find_in_libc("dl_iterate_phdr"));
    atomic_store(&finder, (find_object *)find_in_libc("_dl_find_object"));
    atomic_store(&thread_count, (const unsigned *)find_in_libc("__nptl_nthreads"));
    atomic_store_explicit(&is_known, true, memory_order_release);
}

int shim_loader_iterate(int (*visit)(struct dl_phdr_info *info, size_t size, void *data),
                        void *data)
{
    iterate_phdr *function;

    shim_loader_init();
    function = atomic_load_explicit(&iterate, memory_order_relaxed);
    return function != NULL ? function(visit, data) : dl_iterate_phdr(visit, data);
}

int shim_loader_find_object(const void *address, struct dl_find_object *ret_object)
{
    find_object *function;

    shim_loader_init();
    function = atomic_load_explicit(&finder, memory_order_relaxed);
    if (function == NULL)
        return -1;
    return function((void *)(uintptr_t)address, ret_object) == 0;
}

static int find_thread(_Atomic uintptr_t *threads, unsigned count, uintptr_t wanted)
{
    for (unsigned i = 0; i < count; i++)
        if (atomic_load_explicit(&threads[i], memory_order_relaxed) == wanted)
            return (int)i;
    return -1;
}

/* The place taken, or -1 when all are. */
static int put_thread(_Atomic uintptr_t *threads, unsigned count, uintptr_t self)
{
    for (unsigned i = 0; i < count; i++) {
        uintptr_t none = 0;

        if (atomic_compare_exchange_strong(&threads[i], &none, self))
            return (int)i;
    }
    return -1;
}

static bool has_others(_Atomic uintptr_t *threads, unsigned count, uintptr_t self)
{
    for (unsigned i = 0; i < count; i++) {
        uintptr_t thread = atomic_load(&threads[i]);

        if (thread != 0 && thread != self)
            return true;
    }
    return false;
}

/* Yields until it is too late; `ret_end` is 0 at first. Not a sleep, which could be cancelled. */
static bool wait_on(uint64_t *ret_end)
{
    uint64_t now = shim_clock_now();

    if (*ret_end == 0)
        *ret_end = now + PATIENCE_NS;
    if (now >= *ret_end)
        return false;
    sched_yield();
    return true;
}

/* A thread that forks may be inside, in a signal handler or in another's atfork handler: it must
 * not wait for itself, nor hold the place that it has already. */
int shim_loader_enter(void)
{
    uintptr_t self = (uintptr_t)pthread_self();
    uint64_t end = 0;

    if (find_thread(inside, INSIDE_MAX, self) >= 0)
        return -1;
    for (;;) {
        int place = put_thread(inside, INSIDE_MAX, self);

        if (place >= 0 && (!has_others(forking, FORKING_MAX, self) ||
                           find_thread(forking, FORKING_MAX, self) >= 0))
            return place;
        if (place >= 0)
            shim_loader_leave(place);
        if (!wait_on(&end)) /* a child of that fork will see that we are inside */
            return put_thread(inside, INSIDE_MAX, self);
    }
}

void shim_loader_leave(int place)
{
    uintptr_t self = (uintptr_t)pthread_self();

    /* In the child of a fork inside, the place is not ours any more. */
    if (place >= 0)
        atomic_compare_exchange_strong(&inside[place], &self, 0);
}

static bool is_alone(void)
{
    const unsigned *count = atomic_load_explicit(&thread_count, memory_order_relaxed);

    return count != NULL && *(const volatile unsigned *)count == 1;
}

/* Bounded: the thread inside may wait for what this one holds. */
static void before_fork(void)
{
    int saved_errno = errno;
    uintptr_t self = (uintptr_t)pthread_self();
    uint64_t end = 0;

    put_thread(forking, FORKING_MAX, self);
    was_alone = is_alone();
    while (has_others(inside, INSIDE_MAX, self) && wait_on(&end))
        continue;
    errno = saved_errno;
}

static void after_fork(void)
{
    int place = find_thread(forking, FORKING_MAX, (uintptr_t)pthread_self());

    if (place >= 0)
        atomic_store(&forking[place], 0);
}

/* At the fork another thread may have been about to take modules from the list: they are unmapped
 * before. To be asked at once, since something else may soon lie there. */
static bool note_gone(void)
{
    uintptr_t page = getauxval(AT_PAGESZ);
    int saved_errno = errno;

    gone_count = 0;
    for (const struct link_map *map = atomic_load(&first); map != NULL; map = map->l_next) {
        unsigned char resident;

        if (mincore((void *)((uintptr_t)map->l_ld & ~(page - 1)), 1, &resident) == 0)
            continue;
        errno = saved_errno;
        if (gone_count == GONE_MAX)
            return false;
        gone[gone_count++] = map;
    }
    return true;
}

bool shim_loader_is_gone(const struct link_map *map)
{
    for (unsigned i = 0; i < gone_count; i++)
        if (gone[i] == map)
            return true;
    return false;
}

static void after_fork_in_child(void)
{
    for (unsigned i = 0; i < INSIDE_MAX; i++)
        if (atomic_exchange(&inside[i], 0) != 0)
            atomic_store(&is_stuck, true);
    for (unsigned i = 0; i < FORKING_MAX; i++)
        atomic_store(&forking[i], 0);
    if (atomic_load(&is_stuck) || !was_alone)
        atomic_store(&is_forked, note_gone());
}

void shim_loader_watch_forks(void)
{
    if (!atomic_exchange(&is_watching, true))
        pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

/* Nobody tells whether a thread of the host's was inside at the fork, but nobody changes the list
 * either while there is one thread. Without _dl_find_object nobody tells where its modules end. */
const struct link_map *shim_loader_unlocked(void)
{
    if (!atomic_load_explicit(&is_forked, memory_order_relaxed) ||
        (!is_alone() && !atomic_load_explicit(&is_stuck, memory_order_relaxed)) ||
        atomic_load_explicit(&finder, memory_order_relaxed) == NULL)
        return NULL;
    return atomic_load_explicit(&first, memory_order_relaxed);
}
