/* Finds two functions in libc by walking the debugger's list of modules. The list has no lock, so
 * this is done once, at the start, while there is one thread. Must not call anything that another
 * module may have replaced: string functions of libc are replaced by sanitizers. */
#include "hook/loader.h"

#include <stdatomic.h>
#include <sys/auxv.h>

#include "hook/elf.h"

typedef int iterate_phdr(int (*visit)(struct dl_phdr_info *info, size_t size, void *data),
                         void *data);
typedef int find_object(void *address, struct dl_find_object *ret_object);

static iterate_phdr *_Atomic iterate;
static find_object *_Atomic finder; /* linking to it would keep us out of every libc before 2.35 */
static atomic_bool is_known;

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
static uintptr_t find_in_libc(const struct link_map *first, const char *name)
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
    const struct link_map *first;

    if (atomic_load_explicit(&is_known, memory_order_acquire))
        return;
    first = first_module();
    atomic_store(&iterate, (iterate_phdr *)find_in_libc(first, "dl_iterate_phdr"));
    atomic_store(&finder, (find_object *)find_in_libc(first, "_dl_find_object"));
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
