// Which copies of a lane verify what.
internal import BlockDevice

/// Bytes of a device that copies share, or that one has for itself.
private struct SharedRange {
  var range: Range<UInt64>
  /// Copies by their number in the lane, and which of their files it is.
  var users: [(copy: Int, file: Int)]
}

extension DeviceLane {
  /// Makes what verification needs, where a job verifies: for each copy, since those that do not verify write and trim too.
  ///
  /// - Parameters:
  ///   - parts: for each copy, and each of its files, the device's number and the bytes.
  ///   - maximumTransfers: of the devices; no unit is in two requests.
  /// - Returns: the areas of each device, and for each copy and file the area's place in them.
  static func areas(
    of copies: [JobCopy], _ parts: [[(device: Int, range: Range<UInt64>)]], maximumTransfers: [Int],
    machineBytes: UInt64 = HostFile.machineMemoryBytes
  ) throws(RunError) -> (areas: [[VerifyArea]], places: [[Int?]]) {
    var areas: [[VerifyArea]] = []
    var places = parts.map { [Int?](repeating: nil, count: $0.count) }
    var memory: UInt64 = 0
    for device in maximumTransfers.indices {
      var shared: [SharedRange] = []
      for (copy, files) in parts.enumerated() {
        for (file, part) in files.enumerated() where part.device == device {
          shared.append(SharedRange(range: part.range, users: [(copy, file)]))
        }
      }
      areas.append([])
      for group in joined(shared) where group.users.contains(where: { copies[$0.copy].job.verify != nil }) {
        let users = group.users.map { (copy: copies[$0.copy], file: $0.file, range: parts[$0.copy][$0.file].range) }
        let format = try format(users.map { ($0.copy, $0.file, $0.range) }, group.range, maximumTransfers[device])
        memory += GenerationMap.memory(byteCount: UInt64(group.range.count), unit: format.unit)
        guard memory <= machineBytes / 2 else {
          throw .unfit(
            job: users[0].copy.job.name,
            reason:
              "to verify it in blocks of \(format.unit) bytes needs \(memory) bytes of memory, and the machine has "
              + "\(machineBytes): larger blocks need less")
        }
        let map = GenerationMap(group.range, unit: format.unit)
        for user in group.users { places[user.copy][user.file] = areas[device].count }
        areas[device].append(VerifyArea(map, format, hasWriters: users.contains { $0.copy.job.writes }))
      }
    }
    return (areas, places)
  }

  /// Joins ranges that overlap.
  private static func joined(_ ranges: [SharedRange]) -> [SharedRange] {
    var result: [SharedRange] = []
    for next in ranges.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      if let last = result.last, last.range.upperBound > next.range.lowerBound {
        result[result.count - 1].range =
          last.range.lowerBound..<max(last.range.upperBound, next.range.upperBound)
        result[result.count - 1].users += next.users
      } else {
        result.append(next)
      }
    }
    return result
  }

  /// The blocks of an area: as large as all that its users do is a multiple of.
  private static func format(
    _ users: [(copy: JobCopy, file: Int, range: Range<UInt64>)], _ range: Range<UInt64>, _ maximumTransfer: Int
  ) throws(RunError) -> BlockFormat {
    var unit = UInt64(maximumTransfer)
    for user in users {
      let load = user.copy.job.load
      unit = divisor(unit, user.range.lowerBound - range.lowerBound)
      unit = divisor(unit, UInt64(user.copy.job.smallestBlock))
      if !load.pattern.isRandom { unit = divisor(unit, load.patternModifier ?? 0) }
      for direction in load.directions(withMix: nil) {
        if let align = load.blockAlign[direction] { unit = divisor(unit, UInt64(align)) }
        switch load.blockSizes[direction] {
        case .range(let sizes): unit = divisor(unit, UInt64(sizes.lowerBound))
        case let sizes: for size in sizes.all { unit = divisor(unit, UInt64(size)) }
        }
      }
    }
    let verifying = users.filter { $0.copy.job.verify != nil }
    guard let first = verifying.min(by: { ($0.copy.jobIndex, $0.copy.copy) < ($1.copy.jobIndex, $1.copy.copy) }),
      let options = first.copy.job.verify
    else { preconditionFailure("an area is there for somebody who verifies") }
    for user in verifying {
      guard let interval = user.copy.job.verify?.interval else { continue }
      guard interval % 512 == 0, unit.isMultiple(of: UInt64(interval)) else {
        throw .unfit(
          job: user.copy.job.name,
          reason: "verify_interval=\(interval) has to be a multiple of 512 and divide \(unit) bytes, as all blocks do")
      }
      unit = UInt64(interval)
    }
    for user in verifying {
      let other = user.copy.job.verify
      guard other?.method == options.method, other?.pattern == options.pattern else {
        throw .unfit(
          job: user.copy.job.name,
          reason: "verify and verify_pattern are not those of job \(first.copy.job.name), which works on the same bytes"
        )
      }
      if users.count > 1, other?.isOnly == true, other?.loadsState == false {
        throw .unfit(
          job: user.copy.job.name,
          reason: "verify_only needs verify_state_load: in which order copies on the same bytes wrote them is not known"
        )
      }
    }
    // Which area of a run a block belongs to; a run that repeats the jobs finds the same.
    let owner = UInt64(first.copy.jobIndex) << 40 | UInt64(first.copy.copy) << 20 | UInt64(first.file)
    let area = UInt32(truncatingIfNeeded: (owner &+ 1) &* 0x9E37_79B9_7F4A_7C15 >> 40)
    return BlockFormat(
      seed: first.copy.job.randomSeed ?? 0, area: area, unit: Int(unit), method: options.method,
      pattern: options.pattern)
  }

  /// The greatest common divisor.
  private static func divisor(_ a: UInt64, _ b: UInt64) -> UInt64 { b == 0 ? a : divisor(b, a % b) }
}

extension WorkloadPlan {
  /// Where the verify state of a copy is, as fio names it; nil where the devices end with the run.
  func verifyStatePath(jobIndex: Int, copy: Int) -> String? {
    guard jobs[jobIndex].engine == .libaio else { return nil }
    let number = jobs[..<jobIndex].reduce(copy) { $0 + $1.copies }
    let name = String(jobs[jobIndex].name.map { $0 == "/" ? "_" : $0 })
    return (options.auxiliaryPath.map { $0 + "/" } ?? "") + "local-\(name)-\(number)-verify.state"
  }
}
