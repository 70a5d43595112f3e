/* Call stacks: real ones, taken by libunwind from known functions, and what becomes of the record
 * that carries them. Run with an argument, the program prints a stack of its own (for the stripped
 * copy). */
#include "export/stacks.h"

#include "export/record_read.h"
#include "record_build.h"
#include "trace/record.h"

#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOINLINE __attribute__((noinline, noclone))
#define FRAMES   64

/* ThreadSanitizer keeps a stack of its own, of 64 k frames. */
#ifdef __SANITIZE_THREAD__
#define DEEP 30000
#else
#define DEEP 100000
#endif

static _Atomic(int (*)(void **, int)) backtrace_of;
static void *taken[FRAMES];
static int taken_count;

static int take(void)
{
    taken_count = backtrace_of(taken, FRAMES);
    return taken_count;
}

/* The work after each call keeps it from becoming a jump. */
NOINLINE static int innermost_known(void)
{
    int result = take();
    __asm__ volatile("" ::: "memory");
    return result + 1;
}

NOINLINE static int outer_known(void)
{
    int result = innermost_known();
    __asm__ volatile("" ::: "memory");
    return result + 1;
}

NOINLINE static int recurse(int depth)
{
    int result = depth > 0 ? recurse(depth - 1) : take();
    __asm__ volatile("" ::: "memory");
    return result + 1;
}

NOINLINE static int compare_known(const void *a, const void *b)
{
    if (taken_count == 0)
        innermost_known();
    return *(const int *)a - *(const int *)b;
}

static Otlp__Span *only_span(const uint8_t *data, size_t len)
{
    const uint8_t *end = data + len;
    const uint8_t *message;
    size_t message_len = 0;
    Otlp__Span *span;

    message = shim_record_next(&data, end, &message_len);
    assert_non_null(message);
    assert_ptr_equal(data, end);
    span = shim_record_unpack(message, message_len);
    assert_non_null(span);
    return span;
}

/* The attribute that the addresses become, or NULL. The caller frees it. */
static char *resolved(void *const *address, int count)
{
    struct records records = {0};
    Otlp__Span span = OTLP__SPAN__INIT;
    Otlp__Span *read;
    struct shim_batch batch;
    uint8_t *data;
    size_t len = 0;
    const char *text;
    char *copy;

    span.name = (char *)"failed";
    span.call_stack = (ProtobufCBinaryData){(size_t)count * sizeof(*address), (uint8_t *)address};
    records_add(&records, &span);
    batch = records_batch(&records);
    assert_true(shim_stacks_present(&batch));
    data = shim_stacks_resolve(&batch, &len);
    assert_non_null(data);
    read = only_span(data, len);
    assert_int_equal(read->call_stack.len, 0);
    assert_string_equal(read->name, "failed");
    text = shim_record_text(read, "code.stacktrace");
    copy = text ? strdup(text) : NULL;
    otlp__span__free_unpacked(read, NULL);
    free(data);
    records_fini(&records);
    return copy;
}

static char *resolved_taken(void)
{
    char *text;

    assert_in_range(taken_count, 2, FRAMES);
    text = resolved(taken, taken_count);
    taken_count = 0;
    assert_non_null(text);
    return text;
}

static void run(const char *format, ...)
{
    char command[1000];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static int load(void **state)
{
    (void)state;
    return shim_stacks_load(&backtrace_of);
}

static void test_known_functions(void **state)
{
    char *text;
    char *outer;

    (void)state;
    outer_known();
    text = resolved_taken();
    outer = strstr(text, "\nouter_known+0x");
    assert_non_null(strstr(text, "innermost_known+0x"));
    assert_non_null(outer);
    assert_true(strstr(text, "innermost_known+0x") < outer);
    assert_non_null(strstr(outer, "(test_stacks+0x"));
    assert_non_null(strstr(outer, "\nmain+0x"));
    assert_int_not_equal(text[strlen(text) - 1], '\n');
    free(text);
}

/* libunwind's _Unwind_* must not become the process's. */
static void test_libunwind_is_not_global(void **state)
{
    (void)state;
    assert_non_null(backtrace_of);
    assert_null(dlsym(RTLD_DEFAULT, "unw_backtrace"));
}

static void test_recursion_is_one_line(void **state)
{
    char *text;
    unsigned lines = 0;

    (void)state;
    recurse(DEEP);
    assert_int_equal(taken_count, FRAMES);
    text = resolved_taken();
    for (const char *c = text; (c = strstr(c, "recurse+0x")); c++)
        lines++;
    assert_in_range(lines, 1, 2);
    assert_non_null(strstr(text, " [6"));
    assert_non_null(strstr(text, " times]"));
    free(text);
}

/* libc is a stripped module here: its exported functions have names, its own ones do not. */
static void test_through_a_library(void **state)
{
    int number[] = {2, 1};
    char *text;

    (void)state;
    taken_count = 0;
    qsort(number, 2, sizeof(number[0]), compare_known);
    text = resolved_taken();
    assert_non_null(strstr(text, "compare_known+0x"));
    assert_non_null(strstr(text, "qsort"));
    assert_non_null(strstr(text, "(libc.so.6+0x"));
    free(text);
}

static const char module_source[] =
    "static int __attribute__((noinline)) %s(int (*f)(void)) { return f() + %d; }"
    "int visible(int (*f)(void)) { return %s(f) + 1; }";

static void make_module(const char *directory, const char *name, const char *inner, int number)
{
    char path[100];
    FILE *file;

    snprintf(path, sizeof(path), "%s/module.c", directory);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, module_source, inner, number, inner);
    assert_int_equal(fclose(file), 0);
    run("cc -O0 -g0 -shared -fPIC -o %s/%s %s", directory, name, path);
}

static char *stack_through(void *library)
{
    int (*visible)(int (*)(void));

    *(void **)&visible = dlsym(library, "visible");
    assert_non_null(visible);
    visible(take);
    return resolved_taken();
}

/* .symtab names static functions, as long as the file is the one that was loaded. */
static void test_module_on_disk(void **state)
{
    char directory[] = "/tmp/otelshim-test-XXXXXX";
    char path[100];
    void *library;
    char *text;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/module.so", directory);
    make_module(directory, "module.so", "hidden", 1);
    library = dlopen(path, RTLD_NOW);
    assert_non_null(library);
    text = stack_through(library);
    assert_non_null(strstr(text, "hidden+0x"));
    assert_non_null(strstr(text, "visible+0x"));
    free(text);
    dlclose(library);

    library = dlopen(path, RTLD_NOW);
    assert_non_null(library);
    make_module(directory, "new.so", "others", 2); /* the same layout */
    run("mv %s/new.so %s", directory, path);
    text = stack_through(library);
    assert_non_null(strstr(text, "?? (module.so+0x"));
    assert_non_null(strstr(text, "visible+0x"));
    assert_null(strstr(text, "others"));
    assert_null(strstr(text, "hidden"));
    free(text);
    dlclose(library);
    run("rm -r %s", directory);
}

static void test_own_frames_are_left_out(void **state)
{
    char directory[] = "/tmp/otelshim-test-XXXXXX";
    char path[100];
    void *library;
    char *text;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/libotelshim.so", directory);
    make_module(directory, "libotelshim.so", "hidden", 1);
    library = dlopen(path, RTLD_NOW);
    assert_non_null(library);
    text = stack_through(library);
    assert_non_null(strstr(text, "test_own_frames_are_left_out+0x"));
    assert_null(strstr(text, "visible"));
    assert_null(strstr(text, "libotelshim.so"));
    free(text);
    dlclose(library);
    run("rm -r %s", directory);
}

/* The last call of a function that calls abort() returns behind its end. */
static void test_return_address_behind_the_function(void **state)
{
    void *function = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
    const ElfW(Sym) * symbol;
    Dl_info info;
    char expected[60];
    char *text;
    void *address;

    (void)state;
    assert_non_null(function);
    assert_int_not_equal(dladdr1(function, &info, (void **)&symbol, RTLD_DL_SYMENT), 0);
    address = (char *)function + symbol->st_size;
    text = resolved(&address, 1);
    assert_non_null(text);
    snprintf(expected, sizeof(expected), "gnu_get_libc_version+0x%lx (libc.so.6+0x",
             (long)symbol->st_size);
    assert_int_equal(strncmp(text, expected, strlen(expected)), 0);
    free(text);
    address = function; /* belongs to what stands before */
    text = resolved(&address, 1);
    assert_non_null(text);
    assert_null(strstr(text, "gnu_get_libc_version"));
    free(text);
}

static void test_cplusplus_names(void **state)
{
    void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_GLOBAL);
    void *address;
    char *text;

    (void)state;
    assert_non_null(library);
    address = dlsym(library, "_ZNSt6localeC1Ev");
    assert_non_null(address);
    address = (char *)address + 4;
    text = resolved(&address, 1);
    assert_non_null(text);
    assert_int_equal(strncmp(text, "std::locale::locale()+0x4 (libstdc++.so.6", 41), 0);
    free(text);
}

static void test_addresses_that_are_none(void **state)
{
    void *address[] = {NULL, (void *)1, (void *)UINTPTR_MAX, taken};
    char *text;

    (void)state;
    text = resolved(address, 4);
    assert_non_null(text);
    assert_int_equal(strncmp(text, "??+0x0\n??+0x1\n??+0xffffffffffffffff\n??+0x", 41), 0);
    free(text);
}

/* 128 different frames and no more, and never more than 16 KiB. */
static void test_long_stacks(void **state)
{
    void *address[2000];
    char *text;
    unsigned lines = 1;

    (void)state;
    for (size_t i = 0; i < 2000; i++)
        address[i] = (void *)(i + 1);
    text = resolved(address, 2000);
    assert_non_null(text);
    for (const char *c = text; (c = strchr(c, '\n')); c++)
        lines++;
    assert_int_equal(lines, 128);
    assert_true(strlen(text) <= 16384);
    free(text);
}

static void test_other_records_stay_as_they_are(void **state)
{
    struct records records = {0};
    struct span_spec spec = {.trace = 1, .id = 2, .name = "n", .attributes = {"a", "b"}};
    struct shim_batch batch;
    struct shim_batch_piece piece[2];
    uint8_t *data;
    size_t len = 0;

    (void)state;
    records_add_spec(&records, &spec);
    records_add_spec(&records, &spec);
    batch = records_batch(&records);
    assert_false(shim_stacks_present(&batch));
    data = shim_stacks_resolve(&batch, &len);
    assert_int_equal(len, records.len);
    assert_memory_equal(data, records.data, len);
    free(data);

    piece[0] = (struct shim_batch_piece){records.data, records.len / 2};
    piece[1] = (struct shim_batch_piece){records.data + records.len / 2, records.len / 2};
    batch.piece = piece;
    batch.piece_count = 2;
    data = shim_stacks_resolve(&batch, &len);
    assert_int_equal(len, records.len);
    assert_memory_equal(data, records.data, len);
    free(data);
    records_fini(&records);
}

/* Attributes before and after the stack are kept, and the collector gets nothing of ours. */
static void test_record_is_rewritten(void **state)
{
    struct records records = {0};
    struct records stack = {0};
    Otlp__Span span = OTLP__SPAN__INIT;
    struct span_spec spec = {.trace = 7, .id = 2, .name = "n", .attributes = {"a", "b"}};
    struct shim_batch batch;
    Otlp__Span *read;
    uint64_t address = 1;
    uint8_t *data;
    size_t len = 0;
    size_t both;

    (void)state;
    span.call_stack = (ProtobufCBinaryData){sizeof(address), (uint8_t *)&address};
    records_add_spec(&records, &spec);
    records_add(&stack, &span);
    both = records.len + stack.len -
           SHIM_RECORD_HEAD; /* one message behind the other is their union */
    records.data = realloc(records.data, both);
    assert_non_null(records.data);
    memcpy(records.data + records.len, stack.data + SHIM_RECORD_HEAD, stack.len - SHIM_RECORD_HEAD);
    records.len = both;
    records.data[1] = (uint8_t)((both - SHIM_RECORD_HEAD) | 0x80);
    records.data[2] = (uint8_t)((both - SHIM_RECORD_HEAD) >> 7 | 0x80);
    batch = records_batch(&records);
    data = shim_stacks_resolve(&batch, &len);
    assert_non_null(data);
    read = only_span(data, len);
    assert_int_equal(read->n_attributes, 2);
    assert_string_equal(shim_record_text(read, "a"), "b");
    assert_string_equal(shim_record_text(read, "code.stacktrace"), "??+0x1");
    assert_int_equal(read->trace_id.data[0], 7);
    assert_int_equal(read->call_stack.len, 0);
    otlp__span__free_unpacked(read, NULL);
    free(data);
    records_fini(&records);
    records_fini(&stack);
}

static void test_stripped_program(void **state)
{
    char directory[] = "/tmp/otelshim-test-XXXXXX";
    char text[8192];
    char command[200];
    FILE *pipe;
    size_t len;

    (void)state;
    assert_non_null(mkdtemp(directory));
    run("cp /proc/%d/exe %s/stripped && strip %s/stripped", (int)getpid(), directory, directory);
    snprintf(command, sizeof(command), "%s/stripped print", directory);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    len = fread(text, 1, sizeof(text) - 1, pipe);
    text[len] = '\0';
    assert_int_equal(pclose(pipe), 0);
    assert_non_null(strstr(text, "?? (stripped+0x"));
    assert_null(strstr(text, "outer_known"));
    assert_non_null(strstr(text, "(libc.so.6+0x"));
    run("rm -r %s", directory);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_functions),
        cmocka_unit_test(test_libunwind_is_not_global),
        cmocka_unit_test(test_recursion_is_one_line),
        cmocka_unit_test(test_through_a_library),
        cmocka_unit_test(test_module_on_disk),
        cmocka_unit_test(test_own_frames_are_left_out),
        cmocka_unit_test(test_addresses_that_are_none),
        cmocka_unit_test(test_return_address_behind_the_function),
        cmocka_unit_test(test_cplusplus_names),
        cmocka_unit_test(test_long_stacks),
        cmocka_unit_test(test_other_records_stay_as_they_are),
        cmocka_unit_test(test_record_is_rewritten),
        cmocka_unit_test(test_stripped_program),
    };

    (void)argv;
    if (argc > 1) {
        char *text;
        load(NULL);
        outer_known();
        text = resolved_taken();
        puts(text);
        free(text);
        return 0;
    }
    return cmocka_run_group_tests(tests, load, NULL);
}
