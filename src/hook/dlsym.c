/* What dlsym and dlvsym give a host that asks for a hooked name: the wrapper where the name exists
 * without us, the truth where it does not. The functions themselves are in the .S files, since the
 * real ones must see who called. Must not know any wrapper. Runs on every thread, also inside an
 * allocator's start: no allocation, no thread-local storage. */
#include <dlfcn.h>

#include "hook/hook.h"
#include "hook/thunk.h"

/* Returned in two registers: a non-NULL `jump` is to be jumped to with the arguments as they were.
 */
struct answer {
    void *value;
    shim_function jump;
};

/* The assembler's side. */
struct answer shim_dlsym_find(void *handle, const char *name, const void *caller);
struct answer shim_dlvsym_find(void *handle, const char *name, const char *version,
                               const void *caller);
extern SHIM_HIDDEN void shim_wrapper_dlsym(void);
extern SHIM_HIDDEN void shim_wrapper_dlvsym(void);
SHIM_HOOK_ENTRY(dlsym, shim_wrapper_dlsym);
SHIM_HOOK_ENTRY(dlvsym, shim_wrapper_dlvsym);

struct request {
    void *handle;
    const char *name, *version; /* NULL: dlsym */
    const void *caller;
    struct shim_hooked hooked;
};

static struct answer give(shim_function function)
{
    return (struct answer){.value = (void *)(uintptr_t)function};
}

static struct answer jump(const struct request *request)
{
    return (struct answer){
        .jump = shim_libc_get(request->version != NULL ? SHIM_LIBC_dlvsym : SHIM_LIBC_dlsym)};
}

/* The real look-up, with ourselves as the caller. */
static shim_function ask(const struct request *request, void *handle)
{
    void *found = request->version != NULL ? REAL(dlvsym)(handle, request->name, request->version)
                                           : REAL(dlsym)(handle, request->name);

    return (shim_function)(uintptr_t)found;
}

static bool is_our_function(shim_function function)
{
    return shim_is_ours((const void *)(uintptr_t)function);
}

/* What a reference to libc's function of that name would bind to behind us. */
static shim_function find_libc(const struct request *request)
{
    enum shim_libc which = request->hooked.libc;

    return which != SHIM_LIBC_COUNT ? shim_libc_look_up(which) : shim_resolve_libc(request->name);
}

static struct answer give_wrapper(const struct request *request, const struct shim_library *library)
{
    const struct shim_hooked *hooked = &request->hooked;

    if (library == NULL ||
        (hooked->set->functions[hooked->index].flags & SHIM_LIBRARY_NO_HANDLE) == 0)
        return give(hooked->hook->wrapper);
    return give(shim_thunk_get(hooked->hook->wrapper, library));
}

/* The wrapper in place of the function that it calls; any other of that name, or an older version,
 * is left to the host as it is. */
static struct answer give_wrapper_of(const struct request *request, shim_function found)
{
    const struct shim_hooked *hooked = &request->hooked;
    const struct shim_library *library;

    if (hooked->set == NULL)
        return found == find_libc(request) ? give_wrapper(request, NULL) : give(found);
    library = shim_library_of_address(hooked->set, (const void *)(uintptr_t)found);
    if (library == NULL || library->function[hooked->index] != found)
        return give(found);
    return give_wrapper(request, library);
}

/* The host would be given ours: only if there is one behind it. `caller` tells whose scope is
 * meant. What is found by version is never ours, which has none. */
static struct answer find_behind_us(const struct request *request, const void *caller, bool bound)
{
    const struct shim_library *library = NULL;
    bool exists;

    if (request->hooked.set == NULL) {
        exists = find_libc(request) != NULL;
    } else {
        library = shim_library_of_caller(request->hooked.set, caller);
        exists = library != NULL && library->function[request->hooked.index] != NULL;
    }
    if (!exists) /* then this finds nothing, and dlerror says so */
        return give(ask(request, RTLD_NEXT));
    return give_wrapper(request, bound ? library : NULL);
}

static struct answer find_default(const struct request *request)
{
    shim_function found = ask(request, RTLD_DEFAULT);

    if (found != NULL && is_our_function(found))
        return find_behind_us(request, request->caller, false);
    if (found != NULL && request->version != NULL)
        return give_wrapper_of(request, found);
    return jump(request); /* a module before us has its own, or the caller's scope has more */
}

/* Modules before us in the order of the scope: is one the caller, and does one after it define the
 * name? */
struct order {
    const struct request *request;
    bool past_caller, defined;
};

static bool visit_order(const struct shim_module *module, void *data)
{
    struct order *order = data;
    const struct request *request = order->request;
    uintptr_t caller = (uintptr_t)request->caller;

    if (order->past_caller && !order->defined)
        order->defined = (request->version != NULL
                              ? shim_elf_find_version(module, request->name, request->version)
                              : shim_elf_find(module, request->name)) != NULL;
    if (caller >= module->start && caller < module->end)
        order->past_caller = true;
    return false;
}

static struct answer find_next(const struct request *request)
{
    struct order order = {.request = request};
    shim_function found;

    shim_modules_walk_before_us(visit_order, &order);
    if (!order.past_caller || order.defined)
        return jump(request); /* the real answer is not ours */
    if (request->version == NULL)
        return find_behind_us(request, request->caller, false);
    found = ask(request, RTLD_NEXT);
    return found != NULL ? give_wrapper_of(request, found) : give(NULL);
}

static struct answer find_in_handle(const struct request *request)
{
    shim_function found = ask(request, request->handle);

    if (found == NULL)
        return give(NULL); /* dlerror is as the real one left it */
    if (is_our_function(found))
        return find_behind_us(request, NULL, true); /* the program's handle: its whole scope */
    return give_wrapper_of(request, found);
}

static struct answer find(struct request *request)
{
    if (request->name == NULL || !shim_hook_find(request->name, &request->hooked))
        return jump(request);
    if (request->handle == RTLD_DEFAULT)
        return find_default(request);
    if (request->handle == RTLD_NEXT)
        return find_next(request);
    return find_in_handle(request);
}

struct answer shim_dlsym_find(void *handle, const char *name, const void *caller)
{
    struct request request = {.handle = handle, .name = name, .caller = caller};

    return find(&request);
}

struct answer shim_dlvsym_find(void *handle, const char *name, const char *version,
                               const void *caller)
{
    struct request request = {.handle = handle, .name = name, .version = version, .caller = caller};

    if (version == NULL)
        return (struct answer){.jump = shim_libc_get(SHIM_LIBC_dlvsym)};
    return find(&request);
}
