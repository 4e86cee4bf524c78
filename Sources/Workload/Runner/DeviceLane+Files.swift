internal import BlockDevice
internal import Logging
internal import Reactor
internal import SystemPackage

// How large the devices of a stage are, and the files that are made for them.
extension DeviceLane {
  func geometry(_ name: String, _ job: Job) -> Geometry {
    Geometry(byteCount: (neededBytes(of: name, job) ?? 0) / 512 * 512)
  }

  /// As fio does, makes a file that is not there, laid out where somebody reads it, and makes one larger that jobs write.
  /// What is only read stays as it is.
  func makeFile(_ name: String, _ job: Job, isReadOnly: Bool) throws(DeviceError) {
    let size = neededBytes(of: name, job).map { ($0 + 4095) / 4096 * 4096 }
    if !HostFile.exists(name) {
      guard let size else {
        throw .unsuitable(path: name, reason: "is not there, and without size nobody knows how large to make it")
      }
      if job.namedFiles.isEmpty { HostFile.makeFolders(of: name, below: job.directories) }
      try FileDevice.createImage(path: name, byteCount: size)
      let isRead = plan.jobs.contains { user in
        user.load.pattern.reads && (0..<user.copies).contains { user.fileNames(copy: $0).contains(name) }
      }
      if isRead { try layOut(name, size) }
    } else if !isReadOnly, job.replay == nil, let size, let old = HostFile.byteCountOfRegularFile(name), old < size {
      control.logger.notice("\(name): made larger, from \(old) to \(size) bytes")
      do throws(Errno) { try HostFile.grow(name, to: size) } catch {
        throw .cannotOpen(path: name, step: "make it \(size) bytes large", error)
      }
    }
  }

  /// Fills a new file, so that reads have something to transfer; it goes again when the run is stopped meanwhile.
  private func layOut(_ name: String, _ byteCount: UInt64) throws(DeviceError) {
    control.logger.info("\(name): laying out \(byteCount) bytes")
    var random = SeededGenerator(seed: plan.jobs[0].randomSeed ?? 0)
    var bytes: [UInt8] = []
    for _ in 0..<131_072 {
      let word = random.next()
      for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
    }
    do throws(Errno) {
      try HostFile.fill(name, byteCount, with: bytes) { !control.isEndRequested }
    } catch {
      HostFile.remove(name)
      throw .cannotOpen(path: name, step: "lay it out", error)
    }
    if control.isEndRequested { HostFile.remove(name) }
  }
  /// How large to make a file: as far as all jobs go that work on it.
  private func neededBytes(of name: String, _ job: Job) -> UInt64? {
    guard let own = Self.byteCount(of: name, job) else { return nil }
    return plan.jobs.reduce(own) { most, user in
      guard let share = Self.byteCount(of: name, user) else { return most }
      return (0..<user.copies).reduce(most) { most, copy in
        guard user.fileNames(copy: copy).contains(name) else { return most }
        // Of a part of the whole nobody knows yet how much that is.
        guard case .bytes(let offset) = user.load.offset, case .bytes(let step) = user.load.offsetIncrement else {
          return max(most, share)
        }
        let skip = step.multipliedReportingOverflow(by: UInt64(copy))
        // Below 2^62, as share and offset are at most 2^60; what goes further is refused when the file is there.
        return max(most, share + offset + (skip.overflow ? 0 : min(skip.partialValue, 1 << 60)))
      }
    }
  }
  /// How large to make a device.
  private static func byteCount(of name: String, _ job: Job) -> UInt64? {
    job.replay.map { max(4096, $0.needs(of: name).end.roundedUp(to: 4096)) } ?? job.bytesPerFile
  }
}
