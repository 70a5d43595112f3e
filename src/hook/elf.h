/* Look-up of symbols in the tables of a loaded module, without the dynamic linker's locks. Knows
 * ELF and nothing else. No allocation, no lock, errno kept. Any thread; the module must stay loaded
 * meanwhile: hold it by shim_modules_walk (resolve.h). */
#pragma once

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A loaded module; all pointers are borrowed from it. */
struct shim_module {
    uintptr_t base;       /* what is added to addresses in the file */
    uintptr_t start, end; /* of its mapping */
    const char *path;     /* as the loader names it; "" for the program */
    const char *soname;   /* NULL: none */
    const ElfW(Dyn) * dynamic;
    const ElfW(Sym) * symbols;
    const char *strings;
    size_t strings_size;
    const uint32_t *gnu_hash;
    const uint32_t *sysv_hash;
    const ElfW(Half) * versym;
    const ElfW(Verdef) * verdef;
    size_t verdef_count;
};

/* Describes the module that dl_iterate_phdr shows. 0, or -ENOEXEC when it has no symbol tables. */
int shim_module_init(struct shim_module *module, const struct dl_phdr_info *info);

/* The same for one of which these are known. */
int shim_module_init_parts(struct shim_module *module, uintptr_t base, uintptr_t start,
                           uintptr_t end, const char *path, const ElfW(Dyn) * dynamic);

/* The definition that dlsym would take in this module: the default version, or an unversioned one.
 * TLS symbols are not found. NULL: none. */
const ElfW(Sym) * shim_elf_find(const struct shim_module *module, const char *name);

/* The definition of that version, hidden or not, as dlvsym takes it: one without a version only in
 * a module that has no versions at all. NULL: none. */
const ElfW(Sym) *
    shim_elf_find_version(const struct shim_module *module, const char *name, const char *version);

/* Whether the definition satisfies references to any version, as those of a module without versions
 * do. */
bool shim_elf_is_unversioned(const struct shim_module *module, const ElfW(Sym) * symbol);

/* Its address. An indirect function's resolver is called for it, which is the module's code: hold
 * nothing. */
uintptr_t shim_elf_address(const struct shim_module *module, const ElfW(Sym) * symbol);

/* The n-th DT_NEEDED name; NULL past the last. */
const char *shim_elf_needed(const struct shim_module *module, size_t n);

/* Whether a DT_NEEDED entry of that name means this module. */
bool shim_elf_is_named(const struct shim_module *module, const char *needed);

/* Whether two names are equal. Sanitizers put their own strcmp before libc's, which crashes when it
 * is called before they are ready, as our dlsym is: nothing in hook/ calls string functions of
 * libc. */
static inline bool shim_elf_equal(const char *a, const char *b)
{
    while (*a == *b && *a != '\0')
        a++, b++;
    return *a == *b;
}
