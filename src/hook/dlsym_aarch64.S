/* dlsym and dlvsym, which jump to the real ones so that these see who called, and the code of the thunks
 * (thunk.h). Must not touch more than the ABI lets a call change. Runs on every thread, also before our
 * constructor; no thread-local storage. */

#define THUNK_COUNT 64 /* SHIM_THUNK_COUNT */
#define THUNK_SIZE  32 /* SHIM_THUNK_SIZE */

        .text

/* The wrapper of `name`, whose arguments besides `caller` are saved around the call of `find`. */
        .macro  wrapper name, find, caller
        .globl  \name
        .type   \name, %function
        .globl  shim_wrapper_\name
        .hidden shim_wrapper_\name
        .type   shim_wrapper_\name, %function
        .p2align 4
\name:
shim_wrapper_\name:
        .cfi_startproc
        hint    #34                     /* bti c */
        stp     x29, x30, [sp, #-48]!
        .cfi_def_cfa_offset 48
        .cfi_offset x29, -48
        .cfi_offset x30, -40
        mov     x29, sp
        stp     x0, x1, [sp, #16]
        str     x2, [sp, #32]
        mov     \caller, x30
        bl      \find
        cbz     x1, 1f
        mov     x16, x1                 /* the one register for jumps that bti lets in */
        ldp     x0, x1, [sp, #16]
        ldr     x2, [sp, #32]
        .cfi_remember_state
        ldp     x29, x30, [sp], #48
        .cfi_restore x29
        .cfi_restore x30
        .cfi_def_cfa_offset 0
        br      x16
        .cfi_restore_state
1:      ldp     x29, x30, [sp], #48
        .cfi_restore x29
        .cfi_restore x30
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   \name, . - \name
        .size   shim_wrapper_\name, . - shim_wrapper_\name
        .endm

/* void *dlsym(void *handle, const char *name)
 * void *dlvsym(void *handle, const char *name, const char *version) */
        wrapper dlsym, shim_dlsym_find, x2
        wrapper dlvsym, shim_dlvsym_find, x3

/* A thunk calls, rather than jumps, so that the wrapper's return address tells which one it was. */
        .globl  shim_thunk_code
        .hidden shim_thunk_code
        .type   shim_thunk_code, %object
        .p2align 5
shim_thunk_code:
        .set    thunk, 0
        .rept   THUNK_COUNT
        .cfi_startproc
        hint    #34                     /* bti c */
        stp     x29, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x29, -16
        .cfi_offset x30, -8
        mov     x29, sp
        adrp    x16, shim_thunk_target + 8 * thunk
        ldr     x16, [x16, #:lo12:shim_thunk_target + 8 * thunk]
        blr     x16
        ldp     x29, x30, [sp], #16
        .cfi_restore x29
        .cfi_restore x30
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .p2align 5
        .set    thunk, thunk + 1
        .endr
        .size   shim_thunk_code, . - shim_thunk_code
        .org    shim_thunk_code + THUNK_COUNT * THUNK_SIZE /* fails if one is larger */

        .section .note.GNU-stack, "", %progbits

/* BTI, as -mbranch-protection says for C. */
        .section .note.gnu.property, "a", %note
        .p2align 3
        .word   4                       /* of the name */
        .word   16                      /* of the description */
        .word   5                       /* NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .word   0xc0000000              /* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
        .word   4
        .word   1
        .word   0
