/* cmocka with what it needs in front of it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

/* Compares a borrowed text with an expected one; shows both when they differ. */
#define assert_str(text, expected)                                                                 \
    do {                                                                                           \
        struct shim_str text_ = (text);                                                            \
        const char *expected_ = (expected);                                                        \
        if (!shim_str_equal(text_, shim_str(expected_)))                                           \
            fail_msg("\"%.*s\" is not \"%s\"", (int)text_.len, text_.len ? text_.ptr : "",         \
                     expected_);                                                                   \
    } while (0)
