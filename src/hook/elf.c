/* Look-up of symbols in the tables of a loaded module. Must not know why a symbol is wanted, and
 * must not call into libc beyond string functions. Runs on every thread. */
#include "hook/elf.h"

#include <errno.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#include <sys/ifunc.h>
#endif

#define VERSION_HIDDEN 0x8000u
#define VERSION_INDEX  0x7fffu

/* glibc relocates the pointers of most dynamic sections in place, but not of those that it cannot
 * write (the vdso, and all of them under some other loaders): an address below the module is an
 * offset into it. */
static const void *dynamic_pointer(const struct shim_module *module, ElfW(Addr) address)
{
    return (const void *)(address < module->start ? module->base + address : address);
}

static void read_dynamic(struct shim_module *module)
{
    ElfW(Addr) soname = 0;
    bool has_soname = false;

    for (const ElfW(Dyn) *entry = module->dynamic; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_SYMTAB:
            module->symbols = dynamic_pointer(module, entry->d_un.d_ptr);
            break;
        case DT_STRTAB:
            module->strings = dynamic_pointer(module, entry->d_un.d_ptr);
            break;
        case DT_STRSZ:
            module->strings_size = entry->d_un.d_val;
            break;
        case DT_GNU_HASH:
            module->gnu_hash = dynamic_pointer(module, entry->d_un.d_ptr);
            break;
        case DT_HASH:
            module->sysv_hash = dynamic_pointer(module, entry->d_un.d_ptr);
            break;
        case DT_VERSYM:
            module->versym = dynamic_pointer(module, entry->d_un.d_ptr);
            break;
        case DT_VERDEF:
            module->verdef = dynamic_pointer(module, entry->d_un.d_ptr);
            break;
        case DT_VERDEFNUM:
            module->verdef_count = entry->d_un.d_val;
            break;
        case DT_SONAME:
            soname = entry->d_un.d_val;
            has_soname = true;
            break;
        default:
            break;
        }
    }
    if (has_soname && module->strings != NULL && soname < module->strings_size)
        module->soname = module->strings + soname;
}

int shim_module_init_parts(struct shim_module *module, uintptr_t base, uintptr_t start,
                           uintptr_t end, const char *path, const ElfW(Dyn) * dynamic)
{
    *module = (struct shim_module){
        .base = base,
        .start = start,
        .end = end,
        .path = path != NULL ? path : "",
        .dynamic = dynamic,
    };
    if (dynamic == NULL || start >= end)
        return -ENOEXEC;
    read_dynamic(module);
    return module->symbols != NULL && module->strings != NULL ? 0 : -ENOEXEC;
}

int shim_module_init(struct shim_module *module, const struct dl_phdr_info *info)
{
    uintptr_t first = UINTPTR_MAX, last = 0;
    const ElfW(Dyn) *dynamic = NULL;

    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;

        if (header->p_type == PT_DYNAMIC) {
            dynamic = (const ElfW(Dyn) *)start;
        } else if (header->p_type == PT_LOAD) {
            first = start < first ? start : first;
            last = start + header->p_memsz > last ? start + header->p_memsz : last;
        }
    }
    return shim_module_init_parts(module, info->dlpi_addr, first, last, info->dlpi_name, dynamic);
}

static uint32_t hash_gnu(const char *name)
{
    uint32_t hash = 5381;

    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++)
        hash = hash * 33 + *c;
    return hash;
}

static uint32_t hash_sysv(const char *name)
{
    uint32_t hash = 0;

    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        hash = (hash << 4) + *c;
        hash ^= (hash >> 24) & 0xf0;
        hash &= 0x0fffffff;
    }
    return hash;
}

/* Whether the symbol at this index has the version wanted. */
static bool version_fits(const struct shim_module *module, uint32_t index, const char *version)
{
    if (module->versym == NULL)
        return true;

    uint32_t wanted = module->versym[index];
    if (version == NULL)
        return (wanted & VERSION_HIDDEN) == 0 || (wanted & VERSION_INDEX) < 2;

    const ElfW(Verdef) *definition = module->verdef;
    for (size_t i = 0; definition != NULL && i < module->verdef_count; i++) {
        if ((definition->vd_flags & VER_FLG_BASE) == 0 &&
            definition->vd_ndx == (wanted & VERSION_INDEX)) {
            const ElfW(Verdaux) *name =
                (const void *)((const char *)definition + definition->vd_aux);
            return shim_elf_equal(module->strings + name->vda_name, version);
        }
        if (definition->vd_next == 0)
            break;
        definition = (const void *)((const char *)definition + definition->vd_next);
    }
    return false;
}

static bool is_wanted(const struct shim_module *module, uint32_t index, const char *name,
                      const char *version)
{
    const ElfW(Sym) *symbol = &module->symbols[index];
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    unsigned binding = ELF64_ST_BIND(symbol->st_info);

    if (symbol->st_shndx == SHN_UNDEF || (symbol->st_value == 0 && symbol->st_shndx != SHN_ABS))
        return false;
    if (type != STT_NOTYPE && type != STT_OBJECT && type != STT_FUNC && type != STT_COMMON &&
        type != STT_GNU_IFUNC)
        return false;
    if (binding != STB_GLOBAL && binding != STB_WEAK && binding != STB_GNU_UNIQUE)
        return false;
    return shim_elf_equal(module->strings + symbol->st_name, name) &&
           version_fits(module, index, version);
}

static const ElfW(Sym) *
    find_gnu(const struct shim_module *module, const char *name, const char *version)
{
    const uint32_t *header = module->gnu_hash;
    uint32_t bucket_count = header[0], first_index = header[1];
    uint32_t bloom_count = header[2], bloom_shift = header[3];
    const ElfW(Addr) *bloom = (const ElfW(Addr) *)&header[4];
    const uint32_t *buckets = (const uint32_t *)&bloom[bloom_count];
    const uint32_t *chains = &buckets[bucket_count];
    const unsigned bits = sizeof(ElfW(Addr)) * 8;
    uint32_t hash = hash_gnu(name);

    if (bucket_count == 0 || bloom_count == 0)
        return NULL;

    ElfW(Addr) word = bloom[(hash / bits) & (bloom_count - 1)];
    if (((word >> (hash % bits)) & (word >> ((hash >> bloom_shift) % bits)) & 1) == 0)
        return NULL;

    uint32_t index = buckets[hash % bucket_count];
    if (index < first_index)
        return NULL;
    for (;; index++) {
        uint32_t entry = chains[index - first_index];
        if ((entry | 1) == (hash | 1) && is_wanted(module, index, name, version))
            return &module->symbols[index];
        if (entry & 1)
            return NULL;
    }
}

static const ElfW(Sym) *
    find_sysv(const struct shim_module *module, const char *name, const char *version)
{
    uint32_t bucket_count = module->sysv_hash[0], chain_count = module->sysv_hash[1];
    const uint32_t *buckets = &module->sysv_hash[2];
    const uint32_t *chains = &buckets[bucket_count];

    if (bucket_count == 0)
        return NULL;
    for (uint32_t index = buckets[hash_sysv(name) % bucket_count];
         index != STN_UNDEF && index < chain_count; index = chains[index])
        if (is_wanted(module, index, name, version))
            return &module->symbols[index];
    return NULL;
}

static const ElfW(Sym) *
    find(const struct shim_module *module, const char *name, const char *version)
{
    if (module->gnu_hash != NULL)
        return find_gnu(module, name, version);
    if (module->sysv_hash != NULL)
        return find_sysv(module, name, version);
    return NULL;
}

const ElfW(Sym) * shim_elf_find(const struct shim_module *module, const char *name)
{
    return find(module, name, NULL);
}

const ElfW(Sym) *
    shim_elf_find_version(const struct shim_module *module, const char *name, const char *version)
{
    return find(module, name, version);
}

bool shim_elf_is_unversioned(const struct shim_module *module, const ElfW(Sym) * symbol)
{
    return module->versym == NULL || module->verdef == NULL ||
           (module->versym[symbol - module->symbols] & VERSION_INDEX) < 2;
}

static uintptr_t call_resolver(uintptr_t resolver)
{
#if defined(__aarch64__)
    __ifunc_arg_t features = {
        ._size = sizeof(features),
        ._hwcap = getauxval(AT_HWCAP),
        ._hwcap2 = getauxval(AT_HWCAP2),
    };
    return ((uintptr_t(*)(uint64_t, const __ifunc_arg_t *))resolver)(
        features._hwcap | _IFUNC_ARG_HWCAP, &features);
#else
    return ((uintptr_t(*)(void))resolver)();
#endif
}

uintptr_t shim_elf_address(const struct shim_module *module, const ElfW(Sym) * symbol)
{
    uintptr_t address = symbol->st_value;

    if (symbol->st_shndx != SHN_ABS)
        address += module->base;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC)
        address = call_resolver(address);
    return address;
}

const char *shim_elf_needed(const struct shim_module *module, size_t n)
{
    for (const ElfW(Dyn) *entry = module->dynamic; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_NEEDED && n-- == 0 && entry->d_un.d_val < module->strings_size)
            return module->strings + entry->d_un.d_val;
    return NULL;
}

static const char *base_name(const char *path)
{
    const char *name = path;

    for (; *path != '\0'; path++)
        if (*path == '/')
            name = path + 1;
    return name;
}

bool shim_elf_is_named(const struct shim_module *module, const char *needed)
{
    const char *name = base_name(needed);

    if (module->soname != NULL && shim_elf_equal(module->soname, name))
        return true;
    return shim_elf_equal(base_name(module->path), name);
}
