/* What the resource says of this process, what the user says of it, and who wins (trace/resource.h,
 * trace/host_facts.h). */
#include "trace/resource.h"

#include "base/utf8.h"
#include "base/version.h"
#include "trace/host_facts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int detect(struct shim_resource *resource, const char *name, const char *list)
{
    const struct shim_resource_options options = {name, list, false};
    return shim_resource_detect(resource, &options);
}

static void assert_attribute(const struct shim_resource *resource, const char *key,
                             const char *wanted)
{
    const char *text = shim_resource_get(resource, key);
    if (!text || strcmp(text, wanted) != 0)
        fail_msg("%s is %s", key, text ? text : "not there");
}

static void assert_is_uuid4(const char *id)
{
    assert_non_null(id);
    assert_int_equal(strlen(id), 36);
    for (int i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(id[i], '-');
        else
            assert_non_null(strchr("0123456789abcdef", id[i]));
    }
    assert_int_equal(id[14], '4');
    assert_non_null(strchr("89ab", id[19]));
}

static void test_detected(void **state)
{
    struct shim_resource resource;
    struct utsname system;
    char exe[4096] = "", service[4200];
    (void)state;
    assert_int_equal(detect(&resource, "", ""), 0);
    uname(&system);
    assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
    snprintf(service, sizeof(service), "unknown_service:%s", strrchr(exe, '/') + 1);
    assert_attribute(&resource, "service.name", service);
    assert_attribute(&resource, "process.executable.path", exe);
    assert_attribute(&resource, "process.executable.name", strrchr(exe, '/') + 1);
    assert_attribute(&resource, "telemetry.sdk.name", SHIM_NAME);
    assert_attribute(&resource, "telemetry.sdk.language", "c");
    assert_attribute(&resource, "telemetry.sdk.version", SHIM_VERSION);
    assert_attribute(&resource, "telemetry.distro.name", SHIM_NAME);
    assert_attribute(&resource, "telemetry.distro.version", SHIM_VERSION);
    assert_attribute(&resource, "host.name", system.nodename);
    assert_attribute(&resource, "os.type", "linux");
    assert_is_uuid4(shim_resource_get(&resource, "service.instance.id"));
    assert_non_null(shim_resource_get(&resource, "process.command"));
    assert_non_null(shim_resource_get(&resource, "process.owner"));
    assert_null(shim_resource_get(&resource, "process.command_args"));
    bool has_pid = false;
    for (unsigned i = 0; i < resource.count; i++) {
        const struct shim_resource_attribute *attribute = &resource.attribute[i];
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(attribute->key, resource.attribute[j].key);
        if (strcmp(attribute->key, "process.pid") == 0)
            has_pid = !attribute->text && attribute->number == getpid();
        else
            assert_true(attribute->text && attribute->text[0] && attribute->items == 0);
    }
    assert_true(has_pid);
    shim_resource_fini(&resource);
    shim_resource_fini(&resource);
    assert_null(shim_resource_get(&resource, "service.name"));
}

/* The creation time lies between the boot and now, and near now for a process that has just begun.
 */
static void test_creation_time(void **state)
{
    struct shim_resource resource;
    char now[SHIM_FACTS_TIME_SIZE], before[SHIM_FACTS_TIME_SIZE];
    struct timespec t;
    (void)state;
    assert_int_equal(detect(&resource, "", ""), 0);
    const char *created = shim_resource_get(&resource, "process.creation.time");
    assert_non_null(created);
    clock_gettime(CLOCK_REALTIME, &t);
    shim_facts_format_time(now, ((uint64_t)t.tv_sec + 1) * 1000);
    shim_facts_format_time(before, ((uint64_t)t.tv_sec - 3600) * 1000);
    assert_true(strcmp(before, created) < 0 && strcmp(created, now) < 0);
    shim_resource_fini(&resource);
}

static void test_instance_id_is_fresh(void **state)
{
    struct shim_resource first, second;
    (void)state;
    assert_int_equal(detect(&first, "", ""), 0);
    assert_int_equal(detect(&second, "", ""), 0);
    assert_string_not_equal(shim_resource_get(&first, "service.instance.id"),
                            shim_resource_get(&second, "service.instance.id"));
    shim_resource_fini(&first);
    shim_resource_fini(&second);
}

static void test_precedence(void **state)
{
    struct shim_resource resource;
    (void)state;
    assert_int_equal(detect(&resource, "", "service.name=listed,host.name=mine,k=1,k=2,"), 0);
    assert_attribute(&resource, "service.name", "listed");
    assert_attribute(&resource, "host.name", "mine");
    assert_attribute(&resource, "k", "2");
    shim_resource_fini(&resource);
    assert_int_equal(detect(&resource, "wins", "a=b,service.name=listed,service.instance.id=i"), 0);
    assert_attribute(&resource, "service.name", "wins");
    assert_attribute(&resource, "service.instance.id", "i");
    assert_attribute(&resource, "a", "b");
    shim_resource_fini(&resource);
}

static void test_decoding(void **state)
{
    struct shim_resource resource;
    (void)state;
    assert_int_equal(
        detect(&resource, "n\xff", " a = x%20y , b=%C3%A9%2c%3D,c=,d=p=q,%65=1,bad=%FF\xE9z,,"), 0);
    assert_attribute(&resource, "service.name", "n?");
    assert_attribute(&resource, "a", "x y");
    assert_attribute(&resource, "b", "\xc3\xa9,=");
    assert_attribute(&resource, "c", "");
    assert_attribute(&resource, "d", "p=q");
    assert_attribute(&resource, "e", "1");
    assert_attribute(&resource, "bad", "??z");
    for (unsigned i = 0; i < resource.count; i++)
        assert_true(shim_utf8_is_valid(shim_str(resource.attribute[i].key)) &&
                    shim_utf8_is_valid(shim_str(resource.attribute[i].text)));
    shim_resource_fini(&resource);
}

static void test_one_error_discards_all(void **state)
{
    static const char *const lists[] = {"a=1,b",     "a=1,=2",    "a=1,b=%",  "a=1,b=%4",
                                        "a=1,b=%zz", "a=1,b=%00", "a=1,%g0=2"};
    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct shim_resource resource;
        assert_int_equal(detect(&resource, "name", lists[i]), -EINVAL);
        assert_null(shim_resource_get(&resource, "a"));
        assert_attribute(&resource, "service.name", "name");
        assert_attribute(&resource, "os.type", "linux");
        shim_resource_fini(&resource);
    }
}

static void test_more_attributes_than_fit(void **state)
{
    struct shim_resource resource;
    char *list = malloc(20000), *at = list;
    (void)state;
    for (int i = 0; i < 1000; i++)
        at += sprintf(at, "key%d=%d,", i, i);
    assert_int_equal(detect(&resource, "", list), 0);
    assert_attribute(&resource, "key50", "50");
    assert_attribute(&resource, "telemetry.sdk.name", SHIM_NAME);
    assert_attribute(&resource, "os.type", "linux");
    assert_non_null(shim_resource_get(&resource, "service.name"));
    assert_true(resource.count <= SHIM_RESOURCE_MAX);
    shim_resource_fini(&resource);
    free(list);
}

static void test_command_args(void **state)
{
    const struct shim_resource_options options = {"", "", true};
    struct shim_resource resource;
    (void)state;
    assert_int_equal(shim_resource_detect(&resource, &options), 0);
    const char *command = shim_resource_get(&resource, "process.command");
    const char *text = shim_resource_get(&resource, "process.command_args");
    assert_non_null(text);
    assert_string_equal(text, command);
    for (unsigned i = 0; i < resource.count; i++) {
        if (strcmp(resource.attribute[i].key, "process.command_args") == 0)
            assert_true(resource.attribute[i].items >= 1);
    }
    shim_resource_fini(&resource);
}

static void test_container_id(void **state)
{
    static const char *const with[] = {
        "0::/system.slice/docker-" HEX64 ".scope\n",
        "12:cpu:/docker/" HEX64 "\n0::/\n",
        "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" HEX64 ".scope",
        "1:name=systemd:/kubepods/besteffort/pod5f/" HEX64 "\n",
    };
    static const char *const without[] = {"", "0::/\n", "0::/user.slice/session-1.scope\n",
                                          "0::/" HEX64 "00\n", "0::/0123abcd\n"};
    static const char mounts[] =
        "22 1 0:5 / / rw - overlay overlay rw\n"
        "630 22 8:1 /var/lib/docker/containers/" HEX64 "/hostname /etc/hostname rw - ext4 x rw\n";
    struct shim_str id;
    (void)state;
    for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
        assert_true(shim_facts_container_of_cgroup(shim_str(with[i]), &id));
        assert_true(shim_str_equal(id, shim_str(HEX64)));
    }
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
        assert_false(shim_facts_container_of_cgroup(shim_str(without[i]), &id));
    assert_true(shim_facts_container_of_mounts(shim_str(mounts), &id));
    assert_true(shim_str_equal(id, shim_str(HEX64)));
    assert_false(shim_facts_container_of_mounts(shim_str("1 1 0:1 /containers/abc /x"), &id));
    assert_false(shim_facts_container_of_mounts(shim_str(""), &id));
}

static void test_small_facts(void **state)
{
    static const char passwd[] = "root:x:0:0::/root:/bin/sh\n# c\n:x:7::\nbad\nweb:x:33:33::/:/s";
    char text[SHIM_FACTS_TIME_SIZE];
    struct shim_str found;
    uint64_t ticks = 0;
    (void)state;
    assert_true(shim_facts_user_name(shim_str(passwd), 0, &found));
    assert_true(shim_str_equal(found, shim_str("root")));
    assert_true(shim_facts_user_name(shim_str(passwd), 33, &found));
    assert_true(shim_str_equal(found, shim_str("web")));
    assert_false(shim_facts_user_name(shim_str(passwd), 7, &found));
    assert_false(shim_facts_user_name(shim_str(passwd), 3, &found));

    assert_true(shim_facts_machine_id(shim_str("0123456789abcdef0123456789abcdef\n"), &found));
    assert_int_equal(found.len, 32);
    assert_false(shim_facts_machine_id(shim_str("uninitialized\n"), &found));
    assert_false(shim_facts_machine_id(shim_str(""), &found));

    assert_int_equal(shim_facts_start_ticks(
                         shim_str("1 (a) b (c) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 "
                                  "4242 23 24\n"),
                         &ticks),
                     0);
    assert_int_equal(ticks, 4242);
    assert_int_equal(shim_facts_start_ticks(shim_str("1 (a) S 3 4"), &ticks), -EINVAL);
    assert_int_equal(shim_facts_start_ticks(shim_str(""), &ticks), -EINVAL);
    assert_int_equal(shim_facts_start_ticks(shim_str("1 (a)"), &ticks), -EINVAL);

    assert_string_equal(shim_facts_arch("x86_64"), "amd64");
    assert_string_equal(shim_facts_arch("aarch64"), "arm64");
    assert_string_equal(shim_facts_arch("riscv64"), "riscv64");

    shim_facts_format_time(text, 0);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    shim_facts_format_time(text, UINT64_C(1709211909007));
    assert_string_equal(text, "2024-02-29T13:05:09.007Z");
    shim_facts_format_time(text, UINT64_C(4107542399999));
    assert_string_equal(text, "2100-02-28T23:59:59.999Z");
    shim_facts_format_time(text, UINT64_C(4107542400000));
    assert_string_equal(text, "2100-03-01T00:00:00.000Z");
}

/* Without /proc, /etc and /dev: what cannot be known is left out. In a child, since it cannot come
 * back. */
static void test_without_proc(void **state)
{
    char root[] = "/tmp/otelshim-test-root-XXXXXX";
    int status;
    (void)state;
    if (geteuid() != 0) {
        print_message("SKIP: chroot needs root\n");
        skip();
    }
    assert_non_null(mkdtemp(root));
    pid_t child = fork();
    if (child == 0) {
        struct shim_resource resource;
        if (chroot(root) < 0 || chdir("/") < 0 || detect(&resource, "", "") != 0)
            _exit(2);
        bool ok =
            shim_resource_get(&resource, "service.name") &&
            strncmp(shim_resource_get(&resource, "service.name"), "unknown_service:", 16) == 0 &&
            strcmp(shim_resource_get(&resource, "process.owner"), "0") == 0 &&
            !shim_resource_get(&resource, "process.executable.path") &&
            !shim_resource_get(&resource, "process.command") &&
            !shim_resource_get(&resource, "process.creation.time") &&
            !shim_resource_get(&resource, "host.id") &&
            shim_resource_get(&resource, "service.instance.id");
        shim_resource_fini(&resource);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    rmdir(root);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detected),
        cmocka_unit_test(test_creation_time),
        cmocka_unit_test(test_instance_id_is_fresh),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_one_error_discards_all),
        cmocka_unit_test(test_more_attributes_than_fit),
        cmocka_unit_test(test_command_args),
        cmocka_unit_test(test_container_id),
        cmocka_unit_test(test_small_facts),
        cmocka_unit_test(test_without_proc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
