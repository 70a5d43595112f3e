/* dlsym and dlvsym, which jump to the real ones so that these see who called, and the code of the thunks
 * (thunk.h). Must not touch more than the ABI lets a call change. Runs on every thread, also before our
 * constructor; no thread-local storage. */

#define THUNK_COUNT 64 /* SHIM_THUNK_COUNT */
#define THUNK_SIZE  32 /* SHIM_THUNK_SIZE */

        .text

/* void *dlsym(void *handle, const char *name) */
        .globl  dlsym
        .type   dlsym, @function
        .globl  shim_wrapper_dlsym
        .hidden shim_wrapper_dlsym
        .type   shim_wrapper_dlsym, @function
        .p2align 4
dlsym:
shim_wrapper_dlsym:
        .cfi_startproc
        endbr64
        pushq   %rdi
        .cfi_adjust_cfa_offset 8
        pushq   %rsi
        .cfi_adjust_cfa_offset 8
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        movq    24(%rsp), %rdx          /* the caller */
        call    shim_dlsym_find
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %rsi
        .cfi_adjust_cfa_offset -8
        popq    %rdi
        .cfi_adjust_cfa_offset -8
        testq   %rdx, %rdx
        jz      1f
        jmp     *%rdx
1:      ret
        .cfi_endproc
        .size   dlsym, . - dlsym
        .size   shim_wrapper_dlsym, . - shim_wrapper_dlsym

/* void *dlvsym(void *handle, const char *name, const char *version) */
        .globl  dlvsym
        .type   dlvsym, @function
        .globl  shim_wrapper_dlvsym
        .hidden shim_wrapper_dlvsym
        .type   shim_wrapper_dlvsym, @function
        .p2align 4
dlvsym:
shim_wrapper_dlvsym:
        .cfi_startproc
        endbr64
        pushq   %rdi
        .cfi_adjust_cfa_offset 8
        pushq   %rsi
        .cfi_adjust_cfa_offset 8
        pushq   %rdx
        .cfi_adjust_cfa_offset 8
        movq    24(%rsp), %rcx          /* the caller */
        call    shim_dlvsym_find
        movq    %rdx, %r11
        popq    %rdx
        .cfi_adjust_cfa_offset -8
        popq    %rsi
        .cfi_adjust_cfa_offset -8
        popq    %rdi
        .cfi_adjust_cfa_offset -8
        testq   %r11, %r11
        jz      1f
        jmp     *%r11
1:      ret
        .cfi_endproc
        .size   dlvsym, . - dlvsym
        .size   shim_wrapper_dlvsym, . - shim_wrapper_dlvsym

/* A thunk calls, rather than jumps, so that the wrapper's return address tells which one it was. */
        .globl  shim_thunk_code
        .hidden shim_thunk_code
        .type   shim_thunk_code, @object
        .p2align 5
shim_thunk_code:
        .set    thunk, 0
        .rept   THUNK_COUNT
        .cfi_startproc
        endbr64
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    *(shim_thunk_target + 8 * thunk)(%rip)
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .p2align 5
        .set    thunk, thunk + 1
        .endr
        .size   shim_thunk_code, . - shim_thunk_code
        .org    shim_thunk_code + THUNK_COUNT * THUNK_SIZE /* fails if one is larger */

        .section .note.GNU-stack, "", @progbits

/* IBT and SHSTK, as -fcf-protection says for C. */
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4                       /* of the name */
        .long   16                      /* of the description */
        .long   5                       /* NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002              /* GNU_PROPERTY_X86_FEATURE_1_AND */
        .long   4
        .long   3
        .long   0
