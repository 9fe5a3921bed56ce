;; power-of-two: of two candidates that the flow's hash points at, the one with fewer flows (Mitzenmacher 2001).
;; A policy without the SDK: plain WebAssembly with the exports that the host asks for, and no imports.
;;
;; Memory:  0      services, 16 bytes each: number, address of its records, room, candidates that take new flows
;;          16384  records of 32 bytes, as the host writes them; the word at 24, the policy's own, of record i is the
;;                 index of the i-th candidate that takes new flows
(module
  (memory (export "memory") 1 256)
  (global $servicesEnd (mut i32) (i32.const 0))
  (global $top (mut i32) (i32.const 16384))

  (func (export "abiVersion") (result i32) (i32.const 2))
  (func (export "liveFlows") (result i32) (i32.const 1))

  ;; Where the service is, or would be: at $servicesEnd.
  (func $find (param $service i32) (result i32)
    (local $at i32)
    (loop $next
      (if (i32.lt_u (local.get $at) (global.get $servicesEnd))
        (then
          (if (i32.ne (i32.load (local.get $at)) (local.get $service))
            (then
              (local.set $at (i32.add (local.get $at) (i32.const 16)))
              (br $next))))))
    (local.get $at))

  (func $isKnown (param $at i32) (result i32)
    (i32.lt_u (local.get $at) (global.get $servicesEnd)))

  ;; A service that grows gets a new block; what it had is not used again.
  (func (export "reserve") (param $service i32) (param $count i32) (result i32)
    (local $at i32) (local $end i32)
    (if (i32.gt_u (local.get $count) (i32.const 65536)) (then (return (i32.const 0))))
    (local.set $at (call $find (local.get $service)))
    (if (i32.eqz (call $isKnown (local.get $at)))
      (then
        (if (i32.eq (local.get $at) (i32.const 16384)) (then (return (i32.const 0))))
        (i32.store (local.get $at) (local.get $service))
        (i32.store offset=4 (local.get $at) (i32.const 0))
        (i32.store offset=8 (local.get $at) (i32.const 0))
        (i32.store offset=12 (local.get $at) (i32.const 0))
        (global.set $servicesEnd (i32.add (local.get $at) (i32.const 16)))))
    (if (i32.load offset=4 (local.get $at))
      (then
        (if (i32.le_u (local.get $count) (i32.load offset=8 (local.get $at)))
          (then (return (i32.load offset=4 (local.get $at)))))))
    (local.set $end (i32.add (global.get $top) (i32.mul (local.get $count) (i32.const 32))))
    (if (i32.gt_u (local.get $end) (i32.mul (memory.size) (i32.const 65536)))
      (then
        (if (i32.eq
              (memory.grow
                (i32.sub
                  (i32.shr_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 16))
                  (memory.size)))
              (i32.const -1))
          (then (return (i32.const 0))))))
    (i32.store offset=4 (local.get $at) (global.get $top))
    (i32.store offset=8 (local.get $at) (local.get $count))
    (i32.store offset=12 (local.get $at) (i32.const 0))
    (global.set $top (local.get $end))
    (i32.load offset=4 (local.get $at)))

  (func (export "update") (param $service i32) (param $count i32) (result i32)
    (local $at i32) (local $records i32) (local $index i32) (local $eligible i32)
    (local.set $at (call $find (local.get $service)))
    (if (i32.eqz (call $isKnown (local.get $at))) (then (return (i32.const 1))))
    (if (i32.gt_u (local.get $count) (i32.load offset=8 (local.get $at))) (then (return (i32.const 1))))
    (local.set $records (i32.load offset=4 (local.get $at)))
    (loop $next
      (if (i32.lt_u (local.get $index) (local.get $count))
        (then
          ;; healthy (4) and not draining (1)
          (if (i32.eq
                (i32.and
                  (i32.load offset=20 (call $record (local.get $records) (local.get $index)))
                  (i32.const 5))
                (i32.const 4))
            (then
              (i32.store offset=24
                (call $record (local.get $records) (local.get $eligible))
                (local.get $index))
              (local.set $eligible (i32.add (local.get $eligible) (i32.const 1)))))
          (local.set $index (i32.add (local.get $index) (i32.const 1)))
          (br $next))))
    (i32.store offset=12 (local.get $at) (local.get $eligible))
    (i32.const 0))

  (func (export "choose") (param $service i32) (param $flowHash i32) (param $clientHash i32) (result i32)
    (local $at i32) (local $records i32) (local $eligible i32) (local $first i32) (local $second i32)
    (local.set $at (call $find (local.get $service)))
    (if (i32.eqz (call $isKnown (local.get $at))) (then (return (i32.const -1))))
    (local.set $eligible (i32.load offset=12 (local.get $at)))
    (if (i32.eqz (local.get $eligible)) (then (return (i32.const -1))))
    (local.set $records (i32.load offset=4 (local.get $at)))
    (local.set $first
      (call $nth (local.get $records)
        (i32.rem_u (i32.and (local.get $flowHash) (i32.const 0xffff)) (local.get $eligible))))
    (local.set $second
      (call $nth (local.get $records)
        (i32.rem_u (i32.shr_u (local.get $flowHash) (i32.const 16)) (local.get $eligible))))
    (select (local.get $first) (local.get $second)
      (i32.le_u
        (i32.load offset=8 (call $record (local.get $records) (local.get $first)))
        (i32.load offset=8 (call $record (local.get $records) (local.get $second))))))

  (func $record (param $records i32) (param $index i32) (result i32)
    (i32.add (local.get $records) (i32.shl (local.get $index) (i32.const 5))))

  ;; Index of the n-th candidate that takes new flows.
  (func $nth (param $records i32) (param $n i32) (result i32)
    (i32.load offset=24 (call $record (local.get $records) (local.get $n)))))
