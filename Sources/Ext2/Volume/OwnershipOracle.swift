// An oracle for simulated devices: whoever writes a block owns it now.
internal import BlockDevice
internal import Ext2Format
internal import PageCache

/// A write that should not have happened.
package struct OwnershipViolation: Error, Sendable, CustomStringConvertible {
  package let description: String
}

extension Volume {
  /// Watches every write to a simulated device, when it is queued, issued and completed, from now on: file data goes to the block its
  /// page maps to, metadata to a block that is its home; a block that lost its owner since is still pending; the bit of a
  /// block under I/O is set; no block has two writes in flight. What is found is kept in `ownershipViolations`.
  package func watchOwnership() {
    guard let device = core.queue.device as? SimulatedDevice else { return }
    let oracle = OwnershipOracle(core)
    self.oracle = oracle
    core.queue.onSubmit = { request in oracle.observe(request, .queued) }
    device.observer = { request, event in oracle.observe(request, event == .issued ? .issued : .completed) }
  }
  /// What the oracle found, in order.
  package var ownershipViolations: [OwnershipViolation] { oracle?.violations ?? [] }
}

final class OwnershipOracle {
  /// When a write is looked at. It must own its block when it is queued; from then on it may lose it, and then the block
  /// stays pending until the write is complete.
  enum Event { case queued, issued, completed }

  private unowned let core: VolumeCore
  private var inFlight: [UInt64: Int] = [:]
  private(set) var violations: [OwnershipViolation] = []

  init(_ core: VolumeCore) { self.core = core }

  func observe(_ request: Request, _ event: Event) {
    guard request.operation.isWrite else { return }
    let size = UInt64(core.groups.layout.blockSize)
    let first = request.offset / size
    for step in 0..<UInt64(request.byteCount) / size {
      let number = first + step
      let count = inFlight[number] ?? 0
      if event == .issued {
        if count > 0 { note(request, event, number, "has another write in flight") }
        inFlight[number] = count + 1
      } else if event == .completed {
        inFlight[number] = count > 1 ? count - 1 : nil
      }
      check(request, event, BlockNumber(rawValue: UInt32(truncatingIfNeeded: number)), page: request.ownerPage + step)
    }
  }

  private func check(_ request: Request, _ event: Event, _ block: BlockNumber, page: UInt64) {
    // The superblock of a volume with blocks of 1 KiB lies in block 1, and nothing of the volume in block 0.
    guard core.groups.layout.contains(block) else { return }
    if isMarkedFree(block) { note(request, event, UInt64(block.rawValue), "is marked free") }
    let isPending = core.pendingFrees.contains(block)
    if request.operation != .write {
      if !isPending { note(request, event, UInt64(block.rawValue), "is not waiting to be freed") }
    } else if request.isFileData {
      let isOwned = owns(request.owner, page, block)
      if isOwned == false && !(event != .queued && isPending) {
        note(request, event, UInt64(block.rawValue), "does not belong to page \(page) of inode \(request.owner)")
      }
    } else if !core.metadata.holds(block) && !(event != .queued && isPending) {
      note(request, event, UInt64(block.rawValue), "is no metadata block any more")
    }
  }

  /// Whether a page of an inode lives on a block; nil when that cannot be told from what is in memory.
  private func owns(_ owner: UInt64, _ page: UInt64, _ block: BlockNumber) -> Bool? {
    guard let inode = core.inodes.cached(InodeNumber(rawValue: UInt32(truncatingIfNeeded: owner))) else { return false }
    guard let mapping = inode.tree.lookUpCached(PageIndex(page), limit: 1) else { return nil }
    return mapping == .mapped(DiskBlock(UInt64(block.rawValue)), count: 1)
  }

  private func isMarkedFree(_ block: BlockNumber) -> Bool {
    let layout = core.groups.layout
    let group = layout.group(of: block)
    guard let bitmap = core.metadata.cached(core.groups[group].blockBitmap) else { return false }
    return bitmap.withBytes { bytes in !Bitmap.isSet(layout.bitIndex(of: block), in: bytes) }
  }

  private func note(_ request: Request, _ event: Event, _ block: UInt64, _ what: String) {
    let kind = request.isFileData ? "page \(request.ownerPage) of inode \(request.owner)" : "metadata"
    violations.append(
      OwnershipViolation(
        description: "\(event) \(request.operation) of \(kind) at byte \(request.offset): block \(block) \(what)"))
  }
}
