/* Symbol look-up of our own against the dynamic linker's: each dynamic symbol of libc and of ld.so
 * is found where dlsym and dlvsym find it. Single thread. */
#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hook/elf.h"
#include "hook/resolve.h"

struct wanted {
    const char *soname;
    struct shim_module module;
};

static bool visit_soname(const struct shim_module *module, void *data)
{
    struct wanted *wanted = data;

    if (module->soname == NULL || strcmp(module->soname, wanted->soname) != 0)
        return false;
    wanted->module = *module;
    return true;
}

static struct shim_module module_named(const char *soname)
{
    struct wanted wanted = {.soname = soname};

    assert_true(shim_modules_walk(visit_soname, &wanted));
    return wanted.module;
}

/* The number of symbols is only in the hash tables: the highest index in a GNU chain. */
static size_t count_symbols(const struct shim_module *module)
{
    const uint32_t *header = module->gnu_hash;
    const uint32_t *buckets = (const uint32_t *)((const ElfW(Addr) *)&header[4] + header[2]);
    const uint32_t *chains = &buckets[header[0]];
    uint32_t last = 0;

    for (uint32_t i = 0; i < header[0]; i++)
        last = buckets[i] > last ? buckets[i] : last;
    assert_true(last >= header[1]);
    while ((chains[last - header[1]] & 1) == 0)
        last++;
    return last + 1;
}

static const char *version_of(const struct shim_module *module, size_t index)
{
    const ElfW(Verdef) *definition = module->verdef;

    for (size_t i = 0; i < module->verdef_count; i++) {
        if (definition->vd_ndx == (module->versym[index] & 0x7fff) && definition->vd_ndx > 1) {
            const ElfW(Verdaux) *name =
                (const void *)((const char *)definition + definition->vd_aux);
            return module->strings + name->vda_name;
        }
        definition = (const void *)((const char *)definition + definition->vd_next);
    }
    return NULL;
}

/* Compares every symbol; returns how many were found by both. */
static size_t compare_all(const char *soname)
{
    struct shim_module module = module_named(soname);
    void *handle = dlopen(soname, RTLD_NOW | RTLD_NOLOAD);
    size_t found = 0, count = count_symbols(&module);

    assert_non_null(handle);
    for (size_t i = 1; i < count; i++) {
        const ElfW(Sym) *symbol = &module.symbols[i];
        const char *name = module.strings + symbol->st_name;
        const char *version = version_of(&module, i);
        const ElfW(Sym) *ours = shim_elf_find(&module, name);
        void *theirs = dlsym(handle, name);

        if (ELF64_ST_TYPE(symbol->st_info) == STT_TLS || symbol->st_shndx == SHN_UNDEF ||
            symbol->st_shndx == SHN_ABS)
            continue;
        if ((ours == NULL) != (theirs == NULL) ||
            (ours != NULL && shim_elf_address(&module, ours) != (uintptr_t)theirs))
            fail_msg("%s: ours %p, dlsym's %p", name, (const void *)ours, theirs);
        found += ours != NULL;
        if (version == NULL)
            continue;
        ours = shim_elf_find_version(&module, name, version);
        theirs = dlvsym(handle, name, version);
        if (ours == NULL || theirs == NULL || shim_elf_address(&module, ours) != (uintptr_t)theirs)
            fail_msg("%s@%s: ours %p, dlvsym's %p", name, version, (const void *)ours, theirs);
    }
    dlclose(handle);
    return found;
}

static void test_all_of_libc(void **state)
{
    (void)state;
    assert_true(compare_all("libc.so.6") > 1000);
}

static void test_all_of_libm(void **state)
{
    (void)state;
    assert_true(compare_all("libm.so.6") > 500); /* indirect functions among them */
}

/* Some libraries have no GNU hash table: the old one finds the same. */
static void test_sysv_hash(void **state)
{
    struct shim_module module = module_named("libc.so.6");
    struct shim_module other = module;
    size_t count = count_symbols(&module);

    (void)state;
    if (module.sysv_hash == NULL)
        skip();
    other.gnu_hash = NULL;
    for (size_t i = 1; i < count; i++) {
        const char *name = module.strings + module.symbols[i].st_name;
        assert_ptr_equal(shim_elf_find(&module, name), shim_elf_find(&other, name));
    }
}

static void test_absent(void **state)
{
    struct shim_module module = module_named("libc.so.6");
    char name[32];

    (void)state;
    assert_null(shim_elf_find(&module, ""));
    assert_null(shim_elf_find_version(&module, "printf", "GLIBC_9"));
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "no_such_%d", i);
        assert_null(shim_elf_find(&module, name));
    }
    module.gnu_hash = NULL;
    module.sysv_hash = NULL;
    assert_null(shim_elf_find(&module, "printf"));
}

/* The vdso's pointers are not relocated; the walk must read every module that there is. */
static bool visit_count(const struct shim_module *module, void *data)
{
    size_t *count = data;

    assert_true(module->start < module->end);
    assert_true((uintptr_t)module->symbols >= module->start &&
                (uintptr_t)module->symbols < module->end);
    assert_true((uintptr_t)module->strings >= module->start &&
                (uintptr_t)module->strings < module->end);
    if (module->soname != NULL)
        assert_true(shim_elf_is_named(module, module->soname));
    assert_null(shim_elf_find(module, "no_such_function"));
    (*count)++;
    return false;
}

static void test_every_module(void **state)
{
    size_t count = 0;

    (void)state;
    assert_false(shim_modules_walk(visit_count, &count));
    assert_true(count >= 4); /* the program, libc, libm, cmocka, ld.so, perhaps the vdso */
}

static void test_module_of(void **state)
{
    struct shim_module module;
    int on_stack = 0;

    (void)state;
    assert_int_equal(0, shim_module_of((const void *)(uintptr_t)gnu_get_libc_version, &module));
    assert_string_equal("libc.so.6", module.soname);
    assert_non_null(shim_elf_find(&module, "puts"));
    assert_int_equal(0, shim_module_of((const void *)(uintptr_t)test_module_of, &module));
    assert_true(shim_is_ours((const void *)(uintptr_t)test_module_of));
    assert_false(shim_is_ours((const void *)(uintptr_t)gnu_get_libc_version));
    assert_int_equal(-ENOENT, shim_module_of(&on_stack, &module));
    assert_int_equal(-ENOENT, shim_module_of(NULL, &module));
}

static void test_needed(void **state)
{
    struct shim_module module;
    bool libc = false;
    const char *name;

    (void)state;
    assert_int_equal(0, shim_module_of((const void *)(uintptr_t)test_needed, &module));
    for (size_t n = 0; (name = shim_elf_needed(&module, n)) != NULL; n++)
        libc = libc || strcmp(name, "libc.so.6") == 0;
    assert_true(libc);
}

static void test_resolve(void **state)
{
    void *libm = dlopen("libm.so.6", RTLD_NOW | RTLD_NOLOAD);

    (void)state;
    assert_non_null(libm);
    assert_ptr_equal(dlsym(libm, "cbrt"), (void *)(uintptr_t)shim_resolve("cbrt", NULL));
    assert_ptr_equal(dlsym(libm, "cbrt"),
                     (void *)(uintptr_t)shim_resolve("cbrt", (void *)(uintptr_t)test_resolve));
    assert_null(shim_resolve("no_such_function", (void *)(uintptr_t)test_resolve));
    assert_ptr_equal(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"),
                     (void *)(uintptr_t)shim_resolve_libc("gnu_get_libc_version"));
    assert_null(shim_resolve_libc("no_such_function"));
    /* A definition under another library's version is not what a reference to libc's binds to. */
    assert_null(shim_resolve_libc("cbrt"));
    dlclose(libm);
}

/* Keeps libm linked. */
static double volatile number = 8;

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_libc),  cmocka_unit_test(test_all_of_libm),
        cmocka_unit_test(test_sysv_hash),    cmocka_unit_test(test_absent),
        cmocka_unit_test(test_every_module), cmocka_unit_test(test_module_of),
        cmocka_unit_test(test_needed),       cmocka_unit_test(test_resolve),
    };

    return cbrt(number) > 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
